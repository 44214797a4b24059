"""The scripted players of each task: uninformed, heuristic, oracle, and with options to plan with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent, OptionAgent
from embodied.errors import UnknownNameError
from embodied_envs import feel, heft, lightdark, rummage, search, weigh
from embodied_envs.arm import so101
from embodied_envs.arm.tabletop import OPEN
from embodied_policies.scripted.arm import ArmDriver
from embodied_policies.scripted.feel import ButtonSeeker, FeelWorld
from embodied_policies.scripted.heft import CubeLifter, HeftWorld
from embodied_policies.scripted.landmarks import LandmarkDriver
from embodied_policies.scripted.lightdark import PoseSeeker
from embodied_policies.scripted.rummage import Rummager, RummageWorld
from embodied_policies.scripted.search import RowSeeker
from embodied_policies.scripted.signpost import PadSeeker
from embodied_policies.scripted.weigh import BoxPusher

Player = Callable[..., Agent]  # takes `heuristic` and `truth`


def option_agent(env_id: str, task: Any) -> OptionAgent:
    """The scripted player of a task with options, or one that goes to the task's landmarks and looks at them.

    Raises:
        UnknownNameError: nobody has written one for that task, and it names no landmarks.
    """
    if env_id in OPTION_TASKS:
        return OPTION_TASKS[env_id](task)
    if task is None or not task.landmarks():
        raise UnknownNameError("task with options or landmarks to plan with", env_id, OPTION_TASKS)
    return LandmarkDriver(task.robot.layout, list(task.landmarks()))


def signpost_player(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    shown = (task.robot.layout, task.robot.line_cameras[0].classes, task.hidden[0].labels)
    return lambda **how: PadSeeker(*shown, **how), _first


def lightdark_player(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    (left, right), _ = lightdark.START
    about = ((left + right) / 2, 0.0, math.pi)
    room = (lightdark.HALF_X, lightdark.HALF_Y)
    light = ((lightdark.EDGE - lightdark.HALF_X) / 2, 0.0)
    shown = (task.robot.layout, room, lightdark.GOAL, about, light)
    return lambda **how: PoseSeeker(*shown, **how), np.array


def search_player(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    shown = (task.robot.layout, task.robot.line_cameras[0].classes, task.row, search.START)
    return lambda **how: RowSeeker(*shown, **how), _first


def weigh_player(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    shown = (task.robot.layout, task.robot.line_cameras[0].classes, task.row, weigh.LINE, weigh.START)
    return lambda **how: BoxPusher(*shown, **how), _first


def feel_player(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    world = FeelWorld(
        task.places, feel.LOW, feel.HIGH, feel.HEIGHT - feel.TRAVEL, feel.REACH, feel.TOUCH_LOAD, task.height_of,
        lambda height: task.pose(0.0, height, feel.CLOSED, beside=0.0),
    )  # fmt: skip
    return lambda **how: ButtonSeeker(arm_driver(task), world, **how), _first


def heft_player(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    heights = (heft.CARRY + heft.ABOVE, heft.REACHING, heft.CARRY)
    over, reach, lift = (task.pose(0.0, height, OPEN) for height in heights)
    carry, place = (task.pose(0.0, height, OPEN, beside=0.0) for height in (heft.CARRY, heft.REACHING))
    world = HeftWorld(
        np.array(heft.PLACES), heft.PAD, over, reach, lift, carry, place, OPEN, heft.CLOSED, 0.5 * task.heavier_by
    )
    return lambda **how: CubeLifter(arm_driver(task), world, **how), _first


def rummage_player(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    aside, push = (task.pose(0.0, height, rummage.AJAR, beside=0.0) for height in (rummage.HIGH, rummage.PUSHING))
    over, reach = (task.pose(0.0, height, OPEN) for height in (rummage.HIGH, rummage.REACHING))
    world = RummageWorld(task.places, aside, push, over, reach, rummage.CLOSED, task.sightings)
    return lambda **how: Rummager(arm_driver(task), world, **how), _first


def arm_driver(task: Any) -> ArmDriver:
    """What drives the arm of a task on a table."""
    return ArmDriver(task.robot.layout, so101.TOP_SPEED, 1 / task.control_hz)


def _first(hidden: NDArray) -> NDArray:
    return hidden[:, 0]


OPTION_TASKS: dict[str, Callable[[Any], Any]] = {
    "embodied/Signpost-v0": lambda task: signpost_player(task)[0](heuristic=True, sure=math.inf),
    "embodied/LightDark-v0": lambda task: lightdark_player(task)[0](directed=True),
    "embodied/Search-v0": lambda task: search_player(task)[0](directed=True),
    "embodied/Weigh-v0": lambda task: weigh_player(task)[0](directed=True),
    "embodied/Feel-v0": lambda task: feel_player(task)[0](directed=True),
    "embodied/Heft-v0": lambda task: heft_player(task)[0](directed=True),
    "embodied/Rummage-v0": lambda task: rummage_player(task)[0](directed=True),
}
PLAYERS: dict[str, Callable[[Any], tuple[Player, Callable[[NDArray], NDArray]]]] = {
    "embodied/Heft-v0": heft_player,
    "embodied/Rummage-v0": rummage_player,
    "embodied/Feel-v0": feel_player,
    "embodied/Signpost-v0": signpost_player,
    "embodied/LightDark-v0": lightdark_player,
    "embodied/Search-v0": search_player,
    "embodied/Weigh-v0": weigh_player,
}
