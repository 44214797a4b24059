"""Logs of robots: kept without loss, refused where they are damaged, and looked through for what real logs do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embodied.errors import RecordingError, UnknownNameError
from embodied.sysid import Recording, lint

DATA = Path(os.environ.get("EMBODIED_REALDATA", Path(__file__).parents[2] / "shared" / "realdata"))
KINDS = ["npz", "csv", "parquet"]


def servo(seconds: float = 10.0, hertz: float = 200.0, **changed) -> Recording:
    """A position servo (time constant 30 ms) that follows two sines, without anything wrong."""
    time = np.arange(int(seconds * hertz)) / hertz
    command = np.sin(2.3 * time) + 0.4 * np.sin(7.1 * time)
    position = np.zeros_like(command)
    for t in range(1, len(time)):
        position[t] = position[t - 1] + (command[t - 1] - position[t - 1]) / hertz / 0.03
    velocity = np.gradient(position, time)
    parts = {
        "time_s": time,
        "command": command,
        "position": position,
        "velocity": velocity,
        "current": 0.4 * np.gradient(velocity, time) + 0.2 * velocity,
        "volts": 7.4 + 0.01 * np.cos(velocity),
    } | changed
    units = {"position": "rad", "velocity": "rad/s", "current": "A", "volts": "V"}
    return Recording(parts.pop("time_s"), parts.pop("command"), parts, units, {"robot": "bench"})


def spoilt(kind: str) -> tuple[Recording, str]:
    """A log with one thing wrong, and where."""
    clean = servo()
    time, command = clean.time_s.copy(), clean.command.copy()
    position, velocity, current = (clean.signals[name][:, 0].copy() for name in ("position", "velocity", "current"))
    if kind == "wrapped":
        return servo(current=np.mod(np.rint(10 * current), 2**16)), "current[0]"
    if kind == "wrapped angle":
        return servo(position=np.mod(position * 3, 2 * np.pi)), "position[0]"
    if kind == "outlier":
        current[[300, 900]] += 500.0
        return servo(current=current), "current[0]"
    if kind == "jump":
        position[700:] += 0.5
        return servo(position=position), "position[0]"
    if kind == "stuck":
        position[600:900] = position[600]
        return servo(position=position), "position[0]"
    if kind == "uneven":
        time[1000:] += 0.1
        return servo(time_s=time), "time_s"
    if kind == "duplicated":
        time[501] = time[500]
        return servo(time_s=time), "time_s"
    if kind == "backwards":
        time[501] = time[499]
        return servo(time_s=time), "time_s"
    if kind == "missing":
        current[50:60] = np.nan
        return servo(current=current), "current[0]"
    if kind == "counts":
        return servo(velocity=velocity * 4096 / 2 / np.pi), "velocity[0]"
    if kind == "degrees":
        return servo(position=np.rad2deg(position), velocity=np.rad2deg(velocity)), "position[0]"
    if kind == "quantized":
        return servo(velocity=np.rint(velocity / 0.2) * 0.2), "velocity[0]"
    if kind == "unsigned":
        return servo(current=np.abs(current)), "current[0]"
    if kind == "saturated":
        return servo(current=np.clip(current, -2.0, 2.0)), "current[0]"
    if kind == "supply":
        return servo(volts=7.4 - 1.5 * (np.abs(current) > 3)), "volts[0]"
    if kind == "lag":
        return servo(command=np.roll(command[:, 0], 30)), "position[0]"
    if kind == "trailing":
        return servo(position=np.interp(time - 0.1, time, position)), "position[0]"
    if kind == "offset":
        return servo(position=position + 0.3), "position[0]"
    raise AssertionError(kind)


RULE_OF = {"wrapped angle": "wrapped", "counts": "units", "degrees": "units"}
WRONG = [
    "wrapped",
    "wrapped angle",
    "outlier",
    "jump",
    "stuck",
    "uneven",
    "duplicated",
    "backwards",
    "missing",
    "counts",
    "degrees",
    "quantized",
    "unsigned",
    "saturated",
    "supply",
    "lag",
    "trailing",
    "offset",
]


def test_a_clean_log_is_not_complained_of():
    assert lint(servo()) == []
    assert lint(servo(hertz=50.0)) == []
    noise = np.random.default_rng(0).normal(0.0, 0.003, 2000)
    assert lint(servo(position=servo().signals["position"][:, 0] + noise)) == []


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_with_a_log_is_found_where_it_is(kind):
    recording, where = spoilt(kind)
    assert (RULE_OF.get(kind, kind), where) in {(found.rule, found.signal) for found in lint(recording)}


def test_signals_that_were_never_measured_and_very_short_logs_are_said_to_be_so():
    (found,) = lint(servo(current=np.full(2000, np.nan)))
    assert (found.rule, found.signal, len(found.rows)) == ("missing", "current[0]", 2000)
    for rows in range(2, 12):
        lint(Recording(servo().time_s[:rows], servo().command[:rows], {"position": servo().command[:rows]}))
    assert lint(Recording(np.arange(9) / 9, np.zeros((9, 0)), {"position": np.zeros(9)})) == []


def test_lint_prints_and_writes_what_it_finds(tmp_path):
    spoilt("unsigned")[0].save(tmp_path / "log.csv")
    command = [sys.executable, "-m", "embodied_scripts.cli.main", "lint", str(tmp_path / "log.csv")]
    result = subprocess.run(
        [*command, "--json", str(tmp_path / "found.json")], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "current[0]: never negative" in result.stdout
    (findings,) = json.loads((tmp_path / "found.json").read_text()).values()
    assert "unsigned" in [found["rule"] for found in findings]


def test_findings_say_at_which_rows_they_are():
    recording, _ = spoilt("outlier")
    (found,) = [found for found in lint(recording) if found.rule == "outlier"]
    assert found.rows.tolist() == [300, 900]
    assert "2 single values" in str(found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_is_read_as_it_was_written(kind, tmp_path):
    one = servo(seconds=1.0)
    signals = dict(one.signals) | {"two": np.random.default_rng(0).normal(size=(len(one), 2))}
    one = Recording(one.time_s, np.stack([one.command[:, 0]] * 3, 1), signals, one.units, {"gain": 16, "who": "ä, #"})
    one.save(tmp_path / f"log.{kind}")
    two = Recording.load(tmp_path / f"log.{kind}")
    assert np.array_equal(one.time_s, two.time_s)
    assert np.array_equal(one.command, two.command)
    assert set(one.signals) == set(two.signals)
    assert all(np.array_equal(one.signals[name], two.signals[name]) for name in one.signals)
    assert dict(one.units) == dict(two.units)
    assert dict(one.metadata) == dict(two.metadata)
    assert [file.name for file in tmp_path.iterdir()] == [f"log.{kind}"]


def test_a_table_from_elsewhere_with_the_same_names_is_read(tmp_path):
    (tmp_path / "log.csv").write_text("time_s,command,position\n0.0,1,0.1\n0.1,2,\n")
    recording = Recording.load(tmp_path / "log.csv")
    assert recording.command.tolist() == [[1.0], [2.0]]
    assert np.isnan(recording.signal("position")[1, 0])
    assert dict(recording.metadata) == {}


def test_columns_are_put_where_their_numbers_say(tmp_path):
    path = tmp_path / "swapped.csv"
    path.write_text("\ufeff# by hand\ntime_s,position[1],position[0],command\n0,1,10,0\n1,2,20,0\n", encoding="utf-8")
    log = Recording.load(path)
    assert log.signal("position").tolist() == [[10, 1], [20, 2]]
    assert log.command.shape == (2, 1)


@pytest.mark.parametrize("header", ["position,position", "position[0],position[2]", "position[a],position[b]"])
def test_columns_that_are_missing_or_there_twice_are_refused(header, tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_text(f"time_s,{header}\n0,1,10\n")
    with pytest.raises(RecordingError):
        Recording.load(path)


def test_a_recording_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    log = Recording([0.0, 1.0], [0.0, 0.0], {}, metadata={"robot": np.int64(3)})
    with pytest.raises(RecordingError, match="JSON"):
        log.save(tmp_path / "log.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_by_name(kind, tmp_path):
    path = tmp_path / f"log.{kind}"
    servo(seconds=1.0).save(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"nonsense,\nmore", b"PK\x03\x04" + b"\0" * 40):
        path.write_bytes(damaged if kind != "csv" or damaged != whole[: len(whole) // 2] else damaged[:-3] + b",1,2")
        with pytest.raises((RecordingError, UnknownNameError)):
            Recording.load(path)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    np.savez(tmp_path / "log.npz", time_s=np.array([{"a": 1}, None], object), command=np.zeros(2))
    with pytest.raises(RecordingError, match=r"log\.npz is no recording"):
        Recording.load(tmp_path / "log.npz")


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"command": np.zeros(3)}, RecordingError, "command must be of shape"),
        ({"command": np.full(2000, np.nan)}, RecordingError, "command has 2000 values"),
        ({"time_s": np.zeros((2, 2))}, RecordingError, "time_s must be a vector"),
        ({"position": ["a"] * 2000}, RecordingError, "position is not made of numbers"),
        ({"a,b": np.zeros(2000)}, RecordingError, "'a,b' cannot name a signal"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, error, message):
    with pytest.raises(error, match=message):
        servo(**parts)


def test_unknown_names_list_those_there_are(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'position'"):
        servo().signal("positon")
    with pytest.raises(UnknownNameError, match=r"known: \.bag, \.csv, \.dat"):
        Recording.load(tmp_path / "log.doc")
    with pytest.raises(RecordingError, match="no recording at"):
        Recording.load(tmp_path / "log.npz")


def test_a_part_of_a_recording_keeps_what_belongs_to_it():
    part = servo().part(2.0, 3.0)
    assert len(part) == 200
    assert part.signals["position"].shape == (200, 1)
    assert part.metadata["robot"] == "bench"
    with pytest.raises(RecordingError, match="fewer than 2 instants"):
        servo().part(20.0, 30.0)


def bench_servo_logs() -> list[Recording]:
    logs = []
    for file in sorted((DATA / "bam_xl330" / "raw").glob("*.json")):
        about = json.loads(file.read_text())
        rows = about.pop("entries")
        column = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
        time, command = column.pop("timestamp"), column.pop("goal_position")
        logs.append(Recording(time, command, column, {"position": "rad", "speed": "rad/s"}, about))
    return logs


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real recordings at {DATA} (set EMBODIED_REALDATA)")
def test_the_traps_of_a_real_servo_bench_are_found():
    found = [(log.metadata["trajectory"], {(f.rule, f.signal) for f in lint(log)}) for log in bench_servo_logs()]
    assert all(("uneven", "time_s") in findings for _, findings in found)
    assert all((("wrapped", "load[0]") in findings) == (name != "up_and_down") for name, findings in found)
    assert sum(("supply", "input_volts[0]") in findings for _, findings in found) >= 7


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real recordings at {DATA} (set EMBODIED_REALDATA)")
def test_the_traps_of_a_real_arm_are_found():
    rules: dict[tuple[str, str], int] = {}
    with np.load(DATA / "so101_sage" / "so101.npz") as file:
        for motion in sorted({name.split("/")[0] for name in file.files}):
            signals = {"position": "pos", "velocity": "vel_counts", "current": "current_counts"}
            values = {name: file[f"{motion}/{raw}"] for name, raw in signals.items()}
            log = Recording(file[f"{motion}/t_us"] * 1e-6, file[f"{motion}/cmd"], values)
            for found in lint(log):
                rules[found.rule, found.signal] = rules.get((found.rule, found.signal), 0) + 1
    for joint in range(5):
        assert rules["unsigned", f"current[{joint}]"] >= 6
        assert rules["units", f"velocity[{joint}]"] >= 6 or joint == 2
        assert rules["quantized", f"velocity[{joint}]"] >= 4
        assert rules["trailing", f"position[{joint}]"] >= 6
    assert rules["units", "velocity[5]"] >= 5  # the jaw's position is a share of its range
    assert rules["outlier", "current[0]"] >= 1
    assert rules["offset", "position[2]"] >= 5
    assert not {rule for rule, _ in rules} & {"backwards", "duplicated", "missing", "wrapped", "lag"}
