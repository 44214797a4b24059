"""A seeded corpus of damaged files. Each case is made from its number alone, in a process that may die without loss."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.io import savemat

from embodied.errors import EmbodiedError
from embodied.extras import advice
from embodied.physics.loading import read_model
from embodied.sysid import Recording, clean, lint
from embodied_scripts.cli.fuzz import Fuzz
from embodied_scripts.trials.fuzz_runs import read_damaged, sound_files

TOKENS = (
    b"", b"nan", b"-1", b"1e308", b"1e-320", b"99999999999", b"0", b"inf", b"\0", b"\xff\xfe", b"<", b">", b'"', b"{}",
    b"[", b",,", b";", b"\n\n", b"#", b"&lol;", b"../", b"package://x/y.stl", b"true", b" ", b"1 2 3 4 5 6 7",
)  # fmt: skip
SLOW, RARELY = (".mat",), 200  # kinds that other processes read, and how seldom they are tried
PER_PROCESS = 2_000  # cases after which a process is replaced
MOST_MB, SETTLING = 300, 50  # by which one file may make memory grow, once a process has read some
MJCF = """<mujoco><option timestep="0.002"/><default><geom rgba=".5 .5 .5 1"/><joint damping=".1"/></default><asset>
<material name="m" rgba="1 0 0 1"/><mesh name="t" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset><worldbody>
<geom type="plane" size="1 1 .1"/><body name="a" pos="0 0 1"><freejoint/><geom name="g" type="capsule" size=".1 .2"/>
<site name="s"/><body name="b" pos="0 0 .3"><joint name="j" axis="0 1 0" range="-1 1"/><geom type="box" size=".1 .1 .1"
material="m"/><geom type="mesh" mesh="t"/></body></body></worldbody><actuator><position joint="j" kp="3"/></actuator>
<sensor><jointpos joint="j"/><rangefinder site="s"/></sensor><keyframe><key qpos="0 0 1 1 0 0 0 0"/>
</keyframe></mujoco>"""
URDF = """<?xml version="1.0"?><robot name="r"><link name="base"><inertial><mass value="1"/><inertia ixx="1" iyy="1"
izz="1" ixy="0" ixz="0" iyz="0"/></inertial><visual><origin xyz="0 0 .1" rpy="0 1 0"/><geometry><box size=".1 .1 .1"/>
</geometry></visual></link><link name="l"><inertial><mass value=".5"/><inertia ixx=".01" iyy=".01" izz=".01" ixy="0"
ixz="0" iyz="0"/></inertial><collision><geometry><cylinder radius=".1" length=".2"/></geometry></collision></link>
<joint name="p" type="revolute"><parent link="base"/><child link="l"/><axis xyz="0 1 0"/><limit lower="-1" upper="1"
effort="2" velocity="3"/></joint></robot>"""


def fuzz(asked: Fuzz) -> None:
    """Prints how many of each kind were read and refused; raises EmbodiedError if any was neither."""
    console, begun = Console(soft_wrap=True), time.monotonic()
    results: Counter[tuple[str, str]] = Counter()
    wrong: list[tuple[int, str, str]] = []
    for number, kind, outcome in outcomes(asked):
        results[kind, outcome if outcome in ("read", "refused") else "neither"] += 1
        if outcome not in ("read", "refused"):
            wrong.append((number, kind, outcome))
            console.print(f"case {number}, {kind}: {outcome}", markup=False, highlight=False)
            if asked.keep is not None:
                asked.keep.mkdir(parents=True, exist_ok=True)
                (asked.keep / f"{number}{kind}").write_bytes(case(asked.seed, number)[1])
    table = Table("kind", "read", "refused", "neither")
    for kind in sorted({kind for kind, _ in results}):
        table.add_row(kind, *(str(results[kind, what]) for what in ("read", "refused", "neither")))
    console.print(table)
    spent = time.monotonic() - begun
    console.print(f"{results.total()} files of seed {asked.seed} in {spent:.0f} s", highlight=False)
    if wrong:
        raise EmbodiedError(f"{len(wrong)} files were neither read nor refused in one line")


def outcomes(asked: Fuzz) -> Iterator[tuple[int, str, str]]:
    """Number, kind and outcome of every case: read, refused, or what happened instead."""
    waiting = [range(a, min(a + PER_PROCESS, asked.count)) for a in range(0, asked.count, PER_PROCESS)]
    running: list[tuple[subprocess.Popen[str], range, Path]] = []
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < asked.processes:
                numbers = waiting.pop(0)
                out = Path(folder) / f"{numbers.start}.jsonl"
                running.append((_start(asked, numbers, out), numbers, out))
            time.sleep(0.05)
            for entry in [one for one in running if one[0].poll() is not None]:
                running.remove(entry)
                process, numbers, out = entry
                told = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
                yield from (tuple(line) for line in told)
                if len(told) < len(numbers):
                    died = numbers[len(told)]
                    yield died, case(asked.seed, died)[0], f"the process ended with {process.returncode}"
                    if died + 1 < numbers.stop:
                        waiting.insert(0, range(died + 1, numbers.stop))


def _start(asked: Fuzz, numbers: range, out: Path) -> subprocess.Popen[str]:
    code = "import sys; from embodied_scripts.trials.fuzz import work; work(*sys.argv[1:])"
    given = (asked.seed, numbers.start, numbers.stop, asked.seconds, asked.gigabytes, out)
    return subprocess.Popen([sys.executable, "-c", code, *map(str, given)], stderr=subprocess.DEVNULL, text=True)


def work(seed: str, first: str, last: str, seconds: str, gigabytes: str, out: str) -> None:
    """Tries cases and writes a line for each."""
    limit = int(float(gigabytes) * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    warnings.simplefilter("ignore")
    peak = _peak()
    with Path(out).open("w", buffering=1) as told, tempfile.TemporaryDirectory() as folder:
        for number in range(int(first), int(last)):
            kind, data = case(int(seed), number)
            file = Path(folder) / f"case{kind}"
            file.write_bytes(data)
            outcome, now = attempt(file, float(seconds)), _peak()
            grown, peak = now - peak, max(now, peak)
            if grown > MOST_MB and number > int(first) + SETTLING:
                outcome = f"took {grown:.0f} MB"
            told.write(json.dumps([number, kind, outcome]) + "\n")


def _peak() -> float:
    """The most memory that this process has used [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def attempt(file: Path, seconds: float) -> str:
    """What becomes of a file: "read", "refused", or what happened instead."""
    try:
        with _at_most(seconds):
            kind = file.name.removeprefix("case")
            if kind in RUN_FILES:
                read_damaged(file, kind)
            elif file.suffix in (".xml", ".urdf"):
                read_model(file)
            else:
                for recording in Recording.load_all(file):
                    clean(recording, lint(recording))
    except EmbodiedError as error:
        return "refused" if "\n" not in str(error) else f"refused in several lines: {error}"
    except Exception as error:  # whatever else is raised is what is looked for
        return f"{type(error).__name__}: {error}"
    return "read"


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in what takes longer."""

    def stop(number: int, frame: Any) -> None:
        raise TimeoutError(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def case(seed: int, number: int) -> tuple[str, bytes]:
    """The suffix and the bytes of a case; the same for the same numbers."""
    rng = np.random.default_rng([seed, number])
    quick = [kind for kind in _SOUND if kind not in SLOW]
    kind = SLOW[0] if number % RARELY == 0 else quick[number % len(quick)]
    data = _sound(kind)
    for _ in range(int(rng.integers(1, 5))):
        data = _DAMAGES[int(rng.integers(len(_DAMAGES)))](data, rng)
    return kind, data


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    if not data:
        return data
    out = bytearray(data)
    for place in rng.integers(len(out), size=int(rng.integers(1, 6))):
        out[place] = int(rng.integers(256))
    return bytes(out)


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _insert(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(data) + 1))
    return data[:at] + TOKENS[int(rng.integers(len(TOKENS)))] + data[at:]


def _replace_number(data: bytes, rng: np.random.Generator) -> bytes:
    """Another number in place of one that is written in digits."""
    digits = [i for i, byte in enumerate(data[:4000]) if 48 <= byte <= 57]
    if not digits:
        return _insert(data, rng)
    at = digits[int(rng.integers(len(digits)))]
    return data[:at] + TOKENS[int(rng.integers(1, 8))] + data[at + 1 :]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(rng.integers(len(data) + 1, size=2).tolist())
    return data[:b] + data[a:b] * int(rng.integers(1, 4)) + data[b:] if len(data) < 200_000 else data


def _drop(data: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(rng.integers(len(data) + 1, size=2).tolist())
    return data[:a] + data[b:]


def _nest(data: bytes, rng: np.random.Generator) -> bytes:
    """Brackets or elements, many levels deep."""
    pairs = ((b"[", b"]"), (b'{"a":', b"}"), (b"<body>", b"</body>"))
    opened, closed = pairs[int(rng.integers(len(pairs)))]
    deep, at = int(rng.integers(10, 3000)), int(rng.integers(len(data) + 1))
    return data[:at] + opened * deep + closed * deep + data[at:]


_DAMAGES: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    _flip, _cut, _insert, _insert, _replace_number, _replace_number, _repeat, _drop, _nest,
)  # fmt: skip


def _log() -> Recording:
    time_s = np.linspace(0.0, 0.58, 30)
    command = np.stack([np.sin(9 * time_s), np.cos(7 * time_s)], 1)
    return Recording(
        time_s, command, {"position": 0.9 * command, "volts": 12 + 0 * time_s}, {"volts": "V"}, {"vin": 12}
    )


def _saved(suffix: str) -> Callable[[], bytes]:
    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"log{suffix}"
            _log().save(path)
            return path.read_bytes()

    return make


def _records() -> bytes:
    log = _log()
    rows = zip(log.time_s.tolist(), log.command[:, 0].tolist(), log.signal("position")[:, 0].tolist(), strict=True)
    entries = [{"timestamp": t, "goal_position": u, "position": q} for t, u, q in rows]
    return json.dumps({"kp": 100, "vin": 7.4, "entries": entries}).encode()


def _hdf5() -> bytes:
    with advice():
        import h5py
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.h5"
        with h5py.File(path, "w") as file:
            file["action"], file["observations/qpos"] = _log().command, _log().signal("position")
        return path.read_bytes()


def _mat() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.mat"
        savemat(path, {"time_s": _log().time_s, "command": _log().command, "position": _log().signal("position")})
        return path.read_bytes()


def _mcap() -> bytes:
    with advice():
        from mcap.writer import Writer
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.mcap"
        with path.open("wb") as file:
            writer = Writer(file)
            writer.start()
            channel = writer.register_channel("/joint_states", "json", 0)
            for t, q in zip(_log().time_s, _log().signal("position")[:, 0], strict=True):
                body = json.dumps({"name": ["a"], "position": [q]}).encode()
                writer.add_message(channel, int(1e9 * t), body, int(1e9 * t))
            writer.finish()
        return path.read_bytes()


_SOUND: dict[str, Callable[[], bytes]] = {
    ".xml": lambda: MJCF.encode(),
    ".urdf": lambda: URDF.encode(),
    ".csv": _saved(".csv"),
    ".npz": _saved(".npz"),
    ".parquet": _saved(".parquet"),
    ".json": _records,
    ".h5": _hdf5,
    ".mat": _mat,
    ".mcap": _mcap,
}
RUN_FILES = sound_files()
_SOUND |= RUN_FILES
_MADE: dict[str, bytes] = {}


def _sound(kind: str) -> bytes:
    """A sound file of a kind, made once."""
    if kind not in _MADE:
        _MADE[kind] = _SOUND[kind]()
    return _MADE[kind]
