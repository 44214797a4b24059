"""Robots that somebody leads: by a second arm, or by keys; as agents, so that the same loop runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent
from embodied.deploy.driver import Driver
from embodied.errors import DriverError, OptionError
from embodied.robot.control import ArmControl

KEYS = ("qa", "ws", "ed", "rf", "tg", "yh")  # up and down, for each joint
KEY_SPEED = 0.5  # share of a joint's greatest speed
MOST_LOST = 2  # readings on end of a leader


class Leader:
    """Does with a robot what somebody does with a second one of the same joints.

    Args:
        arm: that is moved by hand, its motors off; control: of the robot that follows.

    Raises:
        OptionError: it has other joints.
    """

    def __init__(self, arm: Driver, control: ArmControl) -> None:
        if arm.joints != control.joints:
            raise OptionError(f"the leader has the joints {', '.join(arm.joints)}, not {', '.join(control.joints)}")
        self._arm, self._control = arm, control
        self._reading, self._lost = arm.read(), 0

    @property
    def angles(self) -> NDArray[np.float64]:
        """Where it was last, `(joints,)` [rad]."""
        return self._reading.values["angle"]

    def initial(self, n: int, seed: int) -> None:
        return None

    def act(self, carry: None, obs: Any, first: NDArray) -> tuple[None, NDArray]:
        try:
            self._reading = self._arm.read()
            self._lost = 0
        except DriverError as error:  # what was lost is held, as everywhere, but not for long
            self._lost += 1
            if self._lost > MOST_LOST:
                raise DriverError(f"the leader is gone: {error}") from None
        return carry, self._control.actions(self.angles[None])


class Keyboard:
    """Moves the joints by keys, each at half of its speed for as long as a key is held.

    Args:
        pressed: returns the keys since it was asked last; joints: how many there are.
    """

    def __init__(self, pressed: Callable[[], Iterable[str]], joints: int) -> None:
        self._pressed = pressed
        self._moves = {
            key: (joint, sign)
            for joint, pair in enumerate(KEYS[:joints])
            for key, sign in zip(pair, (1.0, -1.0), strict=True)
        }
        self._joints = joints

    def initial(self, n: int, seed: int) -> None:
        return None

    def act(self, carry: None, obs: Any, first: NDArray) -> tuple[None, NDArray]:
        action = np.zeros((1, self._joints))
        for key in self._pressed():
            if key in self._moves:
                joint, sign = self._moves[key]
                action[0, joint] = sign * KEY_SPEED
        return carry, action


class Remembered:
    """An agent whose decisions are kept, with what it saw: rows `(F,)` and actions `(nu,)`."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.rows: list[NDArray[np.float32]] = []
        self.actions: list[NDArray[np.float32]] = []

    def initial(self, n: int, seed: int) -> Any:
        return self._agent.initial(n, seed)

    def act(self, carry: Any, obs: Any, first: NDArray) -> tuple[Any, NDArray]:
        carry, action = self._agent.act(carry, obs, first)
        self.rows.append(np.array(obs[0], np.float32))
        self.actions.append(np.array(action[0], np.float32))
        return carry, action
