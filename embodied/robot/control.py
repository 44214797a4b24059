"""What the numbers of an arm's action mean: targets of its joints, their speeds, or moves of its hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.layout import Channel, Layout
from embodied.robot.kinematics import SerialChain


class ArmControl(ABC):
    """Turns actions in [-1, 1] into targets of J servos.

    Args:
        joints: names, in the order of the targets; low, high: between which they may be told to be, `(J,)` [rad].
        decision_s: time between two actions [s].

    Attributes:
        target: what the servos were told last, `(N, J)` [rad].
    """

    def __init__(self, joints: Sequence[str], low: NDArray, high: NDArray, decision_s: float) -> None:
        self.joints = tuple(joints)
        self.low, self.high = np.asarray(low, float), np.asarray(high, float)
        self._decision_s = decision_s
        self.target = np.zeros((0, len(self.joints)))

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """What the numbers of an action are; the bounds of a channel are what −1 and 1 mean."""

    @abstractmethod
    def _wanted(self, actions: NDArray) -> NDArray[np.float64]:
        """Targets for actions `(N, k)`, which may be out of range, `(N, J)` [rad]."""

    def actions(self, targets: NDArray) -> NDArray[np.float64]:
        """The actions in [-1, 1] that bring the targets as near as they can to those `(N, J)` [rad], `(N, J)`.

        Raises:
            OptionError: these actions are no joint's.
        """
        raise OptionError(f"{type(self).__name__} have no action for each joint: choose targets or velocities")

    def bind(self, worlds: int) -> None:
        """Prepares for so many worlds."""
        self.target = np.zeros((worlds, len(self.joints)))

    def begin(self, worlds: NDArray[np.intp], angles: NDArray) -> None:
        """In `worlds`, the servos are at `angles (n, J)` [rad] and have been told to stay."""
        self.target[worlds] = angles

    def targets(self, actions: NDArray) -> NDArray[np.float64]:
        """The targets that actions `(N, k)` mean, `(N, J)` [rad]."""
        self.target[:] = np.clip(self._wanted(np.asarray(actions, np.float64)), self.low, self.high)
        return self.target


class JointTargets(ArmControl):
    """Each number is where a joint is to be, within its range."""

    @property
    def layout(self) -> Layout:
        ranges = zip(self.joints, self.low, self.high, strict=True)
        return Layout(tuple(Channel(f"{joint}/target", 1, float(a), float(b), "rad") for joint, a, b in ranges))

    def _wanted(self, actions: NDArray) -> NDArray[np.float64]:
        return self.low + 0.5 * (actions + 1) * (self.high - self.low)

    def actions(self, targets: NDArray) -> NDArray[np.float64]:
        return np.clip(2 * (np.asarray(targets) - self.low) / (self.high - self.low) - 1, -1.0, 1.0)


class JointVelocities(ArmControl):
    """Each number is how fast the target of a joint moves, at most `top_speed` (J,) [rad/s]."""

    def __init__(
        self, joints: Sequence[str], low: NDArray, high: NDArray, decision_s: float, top_speed: Sequence[float]
    ) -> None:
        super().__init__(joints, low, high, decision_s)
        self.top_speed = np.asarray(top_speed, float)

    @property
    def layout(self) -> Layout:
        speeds = zip(self.joints, self.top_speed, strict=True)
        return Layout(tuple(Channel(f"{joint}/speed", 1, -float(top), float(top), "rad/s") for joint, top in speeds))

    def _wanted(self, actions: NDArray) -> NDArray[np.float64]:
        return self.target + actions * self.top_speed * self._decision_s

    def actions(self, targets: NDArray) -> NDArray[np.float64]:
        return np.clip((np.asarray(targets) - self.target) / (self.top_speed * self._decision_s), -1.0, 1.0)


class HandMoves(ArmControl):
    """Moves of the hand in the world's frame, its pitch (down) and roll about its x axis, and the speed of the fingers.

    Args:
        chain: from the base to the hand; its joints come first among `joints`, and one joint of fingers after them.
        speed: of the hand [m/s]; turn: of pitch and roll [rad/s]; grip: of the fingers [rad/s].
    """

    def __init__(
        self,
        joints: Sequence[str],
        low: NDArray,
        high: NDArray,
        decision_s: float,
        chain: SerialChain,
        speed: float = 0.2,
        turn: float = 1.0,
        grip: float = 2.0,
    ) -> None:
        super().__init__(joints, low, high, decision_s)
        self._chain, self._speed, self._turn, self._grip = chain, speed, turn, grip

    @property
    def layout(self) -> Layout:
        moves = [Channel(f"hand/{axis}", 1, -self._speed, self._speed, "m/s") for axis in "xyz"]
        turns = [Channel(f"hand/{turn}", 1, -self._turn, self._turn, "rad/s") for turn in ("pitch", "roll")]
        return Layout((*moves, *turns, Channel(f"{self.joints[-1]}/speed", 1, -self._grip, self._grip, "rad/s")))

    def _wanted(self, actions: NDArray) -> NDArray[np.float64]:
        arm, fingers = self.target[:, :-1], self.target[:, -1:]
        p_w, R_wh = self._chain.forward(arm)
        out = p_w - self._chain.base
        reach = np.maximum(np.linalg.norm(out[:, :2], axis=1), 1e-9)
        sideways = np.stack([-out[:, 1] / reach, out[:, 0] / reach, np.zeros(len(out))], axis=1)
        turn = self._turn * self._decision_s * (actions[:, 3:4] * sideways + actions[:, 4:5] * R_wh[:, :, 0])
        moved = self._chain.moved(arm, actions[:, :3] * self._speed * self._decision_s, turn)
        return np.concatenate([moved, fingers + actions[:, 5:] * self._grip * self._decision_s], axis=1)
