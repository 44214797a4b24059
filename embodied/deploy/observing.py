"""What a policy sees of a robot: its contract's numbers, from the channels of a driver."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodied.contract import Contract
from embodied.deploy.driver import Reading
from embodied.errors import DriverError
from embodied.layout import Layout
from embodied.robot.timing import AGE_LIMIT_S

LARGEST = 64  # numbers of a channel that is logged: pictures are not
AGE, VALID, NEW = "/age", "/valid", "/new"


class RobotView:
    """Turns readings into observations, as the contract has them.

    Raises:
        DriverError: the robot lacks a channel that the policy was promised, or has it in another size or unit.
    """

    def __init__(self, contract: Contract, layout: Layout) -> None:
        self._contract = contract
        self._shown: dict[str, float] = {}  # when the picture that a camera showed last was exposed [s]
        known = {channel.name: channel for channel in layout.channels}
        wrong = []
        for promised in contract.observation:
            name = promised.name
            for suffix in (AGE, VALID, NEW):
                name = name.removesuffix(suffix)
            seen = name != promised.name and f"{name}/rgb" in known
            channel = known.get(f"{name}/rgb" if seen else name)
            if channel is None:
                wrong.append(f"no {name!r}")
            elif promised.name == name and channel.size != promised.size:
                wrong.append(f"{name!r} has {channel.size} numbers, not {promised.size}")
            elif promised.name == name and channel.unit != promised.unit:
                wrong.append(f"{name!r} is in {channel.unit}, not {promised.unit}")
        if wrong:
            known_names = ", ".join(known)
            raise DriverError(
                f"the policy was promised what this robot has not: {'; '.join(wrong)} (it has {known_names})"
            )

    @property
    def small(self) -> NDArray[np.bool_]:
        """Which numbers of an observation are of no picture, `(size,)`."""
        channels = self._contract.observation
        return np.concatenate([np.full(c.size, c.size <= LARGEST) for c in channels] or [np.zeros(0, bool)])

    def row(self, reading: Reading, now: float, fresh: bool = True) -> NDArray[np.float32]:
        """The observation `(size,)`, within the bounds that it was promised, at the time `now` [s].

        Args:
            fresh: whether the reading was taken for this decision, rather than held from one before.
        """
        parts = [self._part(c.name, c.low, c.high, reading, now, fresh) for c in self._contract.observation]
        self._shown = dict(reading.captured_s)
        return np.concatenate(parts or [np.zeros(0)]).astype(np.float32)

    def _part(
        self, name: str, low: float, high: float, reading: Reading, now: float, fresh: bool
    ) -> NDArray[np.float64]:
        part = name.rpartition("/")[0]
        if name.endswith(AGE):
            return np.array([np.clip(now - reading.captured_s.get(part, reading.time_s), 0.0, AGE_LIMIT_S)])
        if name.endswith(NEW):
            return np.array([float(reading.captured_s.get(part) != self._shown.get(part))])
        if name.endswith(VALID):
            return np.array([float(fresh)])
        return np.clip(reading.values[name], low, high)
