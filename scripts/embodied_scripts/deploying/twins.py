"""Twins of the robots of this project, as processes of their own behind a port."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TextIO

import gymnasium

from embodied.deploy.twin.body import BodyTruth, TwinBody
from embodied.deploy.twin.bus import Bus, Faults
from embodied.deploy.twin.camera import TwinCamera
from embodied.deploy.twin.firmware import Firmware
from embodied.deploy.twin.mystery import mystery
from embodied.deploy.twin.server import TwinServer
from embodied.errors import DriverError, OptionError, UnknownNameError
from embodied.robot.robot import Robot
from embodied.world.env import BatchEnv
from embodied.world.task import ROBOT_PREFIX, Task
from embodied_envs.arm.so101 import so101
from embodied_envs.arm.tabletop import table
from embodied_scripts.deploying.tables import TaskTable
from embodied_scripts.ids import resolve_id

ROBOTS = {"so101": so101}
WRIST = f"{ROBOT_PREFIX}wrist"


@dataclass(frozen=True)
class TwinOptions:
    """Which twin.

    Attributes:
        robot: whose; task: what stands on its table, by the id of an environment; None for nothing.
        mystery: seed of a body that nobody declared; None for the declared one.
        latency_s, jitter_s: of commands, in place of the body's own [s].
        camera_port: of this machine, on which the wrist's camera shows what it sees; 0 for any, None for none.
        faults: what goes wrong; seed: of all that is random in servos and faults.
    """

    robot: str = "so101"
    task: str | None = None
    mystery: int | None = None
    latency_s: float | None = None
    jitter_s: float | None = None
    camera_port: int | None = None
    faults: Faults = field(default_factory=Faults)
    seed: int = 0


def robot_named(name: str) -> Robot:
    """A robot that has a twin.

    Raises:
        UnknownNameError: it has none.
    """
    if name not in ROBOTS:
        raise UnknownNameError("robot with a twin", name, ROBOTS)
    return ROBOTS[name](10.0)


def make_task(name: str) -> Task:
    """A new task of an environment, by its id.

    Raises:
        UnknownNameError: no such environment; OptionError: it has no task of this project.
    """
    env = gymnasium.make_vec(resolve_id(name), num_envs=1).unwrapped
    if not isinstance(env, BatchEnv):
        raise OptionError(f"{name} has no table that a twin can stand at")
    return env.task


def make_servos(options: TwinOptions) -> tuple[Bus, TaskTable | None]:
    """The servos of a twin on a line, and what stands on its table."""
    robot = robot_named(options.robot)
    stands = None if options.task is None else TaskTable(make_task(options.task))
    scene = table if stands is None else stands.scene
    declared = TwinBody(scene(), robot, BodyTruth.of(robot))
    truth = declared.truth if options.mystery is None else mystery(declared, options.mystery)
    told = {name: getattr(options, name) for name in ("latency_s", "jitter_s")}
    truth = replace(truth, **{name: value for name, value in told.items() if value is not None})
    body = TwinBody(scene(), robot, truth)
    firmware = Firmware(body, tuple(range(1, len(body.joints) + 1)), options.seed)
    if stands is not None:
        stands.bind(firmware)
    return Bus(firmware, options.faults, options.seed), stands


class RunningTwin:
    """A twin that serves in this process.

    Attributes:
        server: behind its port; table: what stands on its table; camera: at its wrist; None for nothing.
    """

    def __init__(self, options: TwinOptions, link: Path | None) -> None:
        bus, self.table = make_servos(options)
        self.server = TwinServer(bus, link)
        if self.table is not None:
            self.server.watch = self.table.watch
        self.camera: TwinCamera | None = None
        if options.camera_port is not None:
            try:
                self.camera = TwinCamera(bus.firmware.body.batch, WRIST, options.camera_port)
            except DriverError:
                self.server.close()
                raise

    def serve(self, log: Path | None, lines: TextIO | None = None, seconds: float = math.inf) -> None:
        """Serves until Ctrl-C, the end of `lines`, or for so long; lines are orders as JSON, each answered by one."""
        try:
            while lines is not None:
                self.server.run(seconds, lines.fileno())
                line = lines.readline()
                if not line:
                    break
                print(json.dumps(self.obey(json.loads(line))), flush=True)
            else:
                self.server.run(seconds)
        except KeyboardInterrupt:
            pass
        finally:
            if log is not None:
                self.save(log)
            if self.camera is not None:
                self.camera.close()
            self.server.close()

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Does what who holds the table says: `begin` an episode by a seed, `judge` it, or tell what was `written`."""
        firmware, bus = self.server.firmware, self.server.bus
        if "begin" in order and self.table is not None:
            self.table.begin(int(order["begin"]))
        if "fault" in order:
            told = order["fault"]
            if "dies_s" in told:
                told = told | {"dies_s": {int(servo): when for servo, when in told["dies_s"].items()}}
            bus.faults = replace(bus.faults, **told)
        state: dict[str, Any] = {"time_s": firmware.time_s, "late_s": self.server.late_s}
        if self.camera is not None:
            state["camera"] = self.camera.url
        if self.table is not None:
            state |= {"success": self.table.success, "over": self.table.over, "hidden": self.table.hidden}
        if "written" in order:
            since = float(order["written"])
            state["written"] = [[w.time_s, w.id, w.numbers] for w in bus.written if w.time_s >= since]
        state["angles"] = firmware.body.true_angles.tolist()
        state["torque"] = [memory["torque_enable"] for memory in firmware.memories]
        return state

    def save(self, folder: Path) -> None:
        """Writes what the twin remembers of itself, and what it was told."""
        folder.mkdir(parents=True, exist_ok=True)
        self.server.recording().save(folder / "twin.npz")
        told = [{"time_s": w.time_s, "id": w.id, **w.numbers} for w in self.server.bus.written]
        (folder / "written.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))


class TwinProcess:
    """A twin in a process of its own, as a robot is: `with TwinProcess(["so101"]) as twin: … twin.port`.

    Args:
        arguments: of `embodied twin`; folder: where its port is made.

    Raises:
        DriverError: it does not start.
    """

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self.port = str(folder / "robot")
        command = [sys.executable, "-m", "embodied_scripts.cli.main", "twin", *arguments, "--port", self.port]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([*command, "--orders"], stdin=pipe, stdout=pipe, text=True)
        if not self._line():
            raise DriverError(f"the twin ended at once, with {self._process.wait()}")

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def order(self, **order: Any) -> dict[str, Any]:
        """Tells who holds the table to do something (see `RunningTwin.obey`); returns how things stand."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        line = self._line()
        if not line:
            raise DriverError("the twin has ended")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
