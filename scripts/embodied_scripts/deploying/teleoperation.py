"""Sessions in which somebody leads a robot, for the command line."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from rich.console import Console

from embodied.agent import Agent
from embodied.deploy.dataset import LeRobotFolder
from embodied.deploy.leading import Keyboard, Leader, Remembered
from embodied.deploy.log import LogFile
from embodied.deploy.loop import Loop, LoopReport
from embodied.deploy.observing import RobotView
from embodied.errors import OptionError
from embodied.learn.cloning import Demonstrations
from embodied.nn.checkpoint import describe_space
from embodied.sysid.recording import Recording
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_scripts.cli.teleoperate import Teleoperate
from embodied_scripts.deploying.deploy import arm_units
from embodied_scripts.deploying.keys import Keys
from embodied_scripts.deploying.robots import dataset_in, known_robot, robot_on
from embodied_scripts.ids import resolve_id
from embodied_scripts.records import begun

KEYBOARD, SPACE = "keyboard", " "
SPOKEN = "space was pressed"
BY_HAND = (SPOKEN, "Ctrl-C")


def teleoperate(asked: Teleoperate) -> None:
    """Leads through episodes, and writes those that were not ended by an emergency."""
    if asked.episodes < 1 or not asked.seconds > 0:
        raise OptionError("there must be an episode at least, and it must last")
    if asked.out.exists() and (not asked.out.is_dir() or any(asked.out.iterdir())):
        raise OptionError(f"{asked.out} is there already, and not empty: name another folder")
    if asked.leader == KEYBOARD and not sys.stdin.isatty():
        raise OptionError("a keyboard needs a terminal: name the port of a second arm, --leader")
    if asked.leader == asked.port:
        raise OptionError(f"{asked.port} cannot lead itself: name the port of a second arm, --leader")
    env = GymVecEnv(make_vec(resolve_id(asked.task), 1))
    inner: Any = env.gym_env.unwrapped
    if not hasattr(getattr(inner, "task", None), "control"):
        raise OptionError(f"{asked.task} is no task of an arm")
    session = _Session(asked, env, inner)
    try:
        last = session.run()
    finally:
        session.close()
    if last is not None and last.emergency and last.ended not in BY_HAND:
        sys.exit(1)


class _Session:
    """Robot, leader, and what has been shown so far."""

    def __init__(self, asked: Teleoperate, env: GymVecEnv, inner: Any) -> None:
        self._asked, self._env, self._inner = asked, env, inner
        self._console = Console(soft_wrap=True)
        self._pressed: list[str] = []
        self._loop: Loop | None = None
        self._making = begun("teleoperate", asked, environment=EnvSpec.of(env).jsonable())
        self._shown: list[Remembered] = []
        self._leader_arm: Any = None
        self._robot = robot_on(asked, inner.contract)
        RobotView(inner.contract, self._robot.layout)  # refuses what the robot cannot show, before anything moves
        self._dataset = self._opened_dataset()
        self._robot.connect()

    def run(self) -> LoopReport | None:
        """Episode after episode; returns how the last one went."""
        leader = self._leader()
        report = None
        with Keys(self._key):
            for k in range(self._asked.episodes):
                self._console.print(f"episode {k + 1} of {self._asked.episodes}", highlight=False)
                report = self._episode(leader, k)
                if report.emergency and report.ended != SPOKEN:
                    self._console.print(f"{report.ended}: this episode is not kept", markup=False, highlight=False)
                    break
        return report

    def _leader(self) -> Agent:
        joints = self._inner.task.control.joints
        if self._asked.leader == KEYBOARD:
            return Keyboard(self._taken, len(joints))
        asked = self._asked
        self._leader_arm = known_robot(asked.robot).driver(asked.leader, asked.library, asked.leader_calibration)
        self._leader_arm.connect()
        self._leader_arm.relax()
        return Leader(self._leader_arm, self._inner.task.control)

    def _episode(self, leader: Agent, number: int) -> LoopReport:
        contract, control = self._inner.contract, self._inner.task.control
        start = leader.angles if isinstance(leader, Leader) else None
        limits = self._robot.limits
        start = None if start is None else np.clip(start, limits.low, limits.high)
        log = LogFile(self._asked.out / f"episode-{number:03d}.csv", arm_units(self._robot), robot=self._asked.robot)
        shown = Remembered(leader)
        self._pressed.clear()
        self._loop = Loop(self._robot, shown, contract, control, start, log=log)
        report = self._loop.run(self._asked.seconds)
        log.close()
        if report.decisions > 1 and (not report.emergency or report.ended == SPOKEN):
            self._shown.append(shown)
            self._save()
            if self._dataset is not None:
                self._dataset.add(Recording.load(log.path), self._asked.task)
        return report

    def _opened_dataset(self) -> LeRobotFolder | None:
        if self._asked.dataset is None:
            return None
        return dataset_in(self._asked.dataset, self._asked.robot, self._robot.joints, self._inner.contract.control_hz)

    def _key(self, key: str) -> None:
        if key == SPACE and self._loop is not None:
            self._loop.stop(SPOKEN)
        else:
            self._pressed.append(key)

    def _taken(self) -> list[str]:
        pressed, self._pressed = self._pressed, []
        return pressed

    def _save(self) -> None:
        """Writes what has been shown so far, as demonstrations without a reward."""
        lengths = [len(shown.rows) for shown in self._shown]
        rows = np.concatenate([np.stack(shown.rows) for shown in self._shown])
        actions = np.concatenate([np.stack(shown.actions) for shown in self._shown])
        first = np.zeros(len(rows), bool)
        first[np.cumsum([0, *lengths[:-1]])] = True
        nothing = np.zeros(len(rows), np.float32)
        steps = {"obs": rows, "action": actions, "first": first, "reward": nothing, "shaping": nothing}
        card = {
            "env": EnvSpec.of(self._env).jsonable(),
            "observation_space": describe_space(self._env.observation_space),
            "action_space": describe_space(self._env.action_space),
        }
        Demonstrations(card, steps, np.zeros(len(lengths), bool)).save(self._asked.out)
        self._making.finish(self._asked.out)
        after = f"Next: embodied train {self._asked.task} --demonstrations {self._asked.out}"
        self._console.print(f"{len(lengths)} episodes in {self._asked.out}. {after}", markup=False, highlight=False)

    def close(self) -> None:
        self._robot.close()
        if self._leader_arm is not None:
            self._leader_arm.close()
        self._env.close()
