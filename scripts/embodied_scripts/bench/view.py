"""What it costs to be watched: training with a live view beside training without, and the memory of a long watch."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from embodied.learn.ppo import SequencePPO
from embodied.nn.agent import NetworkAgent
from embodied.vector.vec import GymVecEnv, make_vec
from embodied.view.sink import SERVER_MEMORY, free_port, rerun_binary
from embodied_scripts.bench.learning import SIGNPOST, use_all_threads
from embodied_scripts.bench.rounds import show, take_turns
from embodied_scripts.cli.train import MANY_WORLDS
from embodied_scripts.show.loggers import EpisodeLogger, SceneLogger, open_stream
from embodied_scripts.show.playing import decisions
from embodied_scripts.training.live import Live

EVERY_S = 15.0  # from one episode that is shown to the next
UPDATES = 9  # learned from in each turn
WATCH_HZ, WATCH_S = 50, 600  # the long watch: so many decisions per second, for so long


def show_view(rounds: int, small: bool = False) -> dict[str, list[float]]:
    """Prints and returns what being watched costs a training, and the memory of a long watch."""
    rates = view_rates(rounds, *((4, 5) if small else ()))
    show("view", rates)
    return rates | show_long_watch(Console(soft_wrap=True), small)


def view_rates(rounds: int, worlds: int = 128, steps: int = 64) -> dict[str, list[float]]:
    """Environment steps per second with learning on Signpost, watched from another process and not."""
    use_all_threads()
    watched, alone = (
        SequencePPO("TransformerPolicy", make_vec(SIGNPOST, worlds), MANY_WORLDS, n_steps=steps, seed=0, device="cpu")
        for _ in range(2)
    )
    with viewer() as (address, _):
        live = Live(address, watched, SIGNPOST, EVERY_S)
        turns = {"watched": _updates(watched, live), "alone": _updates(alone, None)}
        rates = take_turns(turns, rounds)
        live.close()
    return rates


def _updates(model: SequencePPO, callback: Any) -> Any:
    def learn() -> int:
        before = model.num_timesteps
        model.learn(UPDATES * model.n_envs * model.n_steps, callback, reset_num_timesteps=False)
        return model.num_timesteps - before

    return learn


def show_long_watch(console: Console, small: bool = False) -> dict[str, list[float]]:
    """Prints and returns what logging one world with camera, belief and attention takes, and what is held then."""
    use_all_threads()
    policy = SequencePPO("TransformerPolicy", make_vec(SIGNPOST, 1), n_steps=8, device="cpu").policy
    env = GymVecEnv(make_vec(SIGNPOST, 1))
    scene_logger = SceneLogger(env.gym_env)
    wanted = 60 if small else WATCH_HZ * WATCH_S
    with viewer() as (address, process):
        stream = open_stream(address, scene_logger, SIGNPOST, policy)
        episode_logger = EpisodeLogger(stream, scene_logger, policy)
        before, spent = _memory_mb("self"), 0.0
        moments = decisions(NetworkAgent(policy), env, 0, lambda *_: None)
        for _, moment in zip(range(wanted), moments, strict=False):
            begun = time.perf_counter()
            episode_logger.take(moment, scene_logger.scene(), scene_logger.sensed(moment.obs, moment.first))
            spent += time.perf_counter() - begun
        stream.close()
        held, served = _memory_mb("self") - before, _memory_mb(str(process.pid))
    figures = {
        "milliseconds per decision": 1e3 * spent / wanted,
        "more held by the process that logs [MB]": max(held, 0.1),
        f"held by the viewer's server, told to keep {SERVER_MEMORY} [MB]": served,
    }
    console.print(f"{wanted:,} decisions, as many as {wanted / WATCH_HZ:.0f} s at {WATCH_HZ} Hz:", highlight=False)
    for name, value in figures.items():
        console.print(f"  {name}: {value:,.1f}", highlight=False)
    return {name: [value] for name, value in figures.items()}


@contextmanager
def viewer() -> Iterator[tuple[str, subprocess.Popen]]:
    """What receives recordings, without a window, in a process of its own: its address, and the process."""
    port = free_port()
    command = [str(rerun_binary()), "--serve-grpc", "--port", str(port), "--server-memory-limit", SERVER_MEMORY]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"rerun+http://127.0.0.1:{port}/proxy", process
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, patience_s: float = 30.0) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < patience_s:
        with socket.socket() as door:
            if door.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("Rerun's server did not start")


def _memory_mb(process: str) -> float:
    """What a process holds in memory (resident set) [MB]; not a number where /proc does not tell."""
    status = Path(f"/proc/{process}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), np.nan)
