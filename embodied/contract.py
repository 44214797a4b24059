"""What a policy was promised: the channels that it reads, what its actions mean, the timing and the ranges it saw.

Simulation, an exported network, a robot and a robot elsewhere read the same contract.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from embodied.errors import CheckpointError
from embodied.files import checked


class TimedChannel(msgspec.Struct, frozen=True):
    """Neighboring numbers of an observation.

    Attributes:
        labels: what each is of, such as a joint; empty where nothing has a name.
        rate_hz: frames per second; 0 for one per decision. latency_s, jitter_s: from capture to arrival, and its
            standard deviation [s]. dropout: share of the frames that are lost.
    """

    name: str
    size: int
    unit: str
    low: float
    high: float
    labels: tuple[str, ...] = ()
    rate_hz: float = 0.0
    latency_s: float = 0.0
    jitter_s: float = 0.0
    dropout: float = 0.0


class Command(msgspec.Struct, frozen=True):
    """One number of an action: `low` and `high` are what −1 and 1 mean."""

    name: str
    unit: str
    low: float
    high: float


class Driven(msgspec.Struct, frozen=True):
    """An actuator that commands come to, with the way that they have: latency and jitter [s], share that is lost."""

    name: str
    joint: str
    unit: str
    latency_s: float = 0.0
    jitter_s: float = 0.0
    dropout: float = 0.0


class Range(msgspec.Struct, frozen=True):
    """Between which numbers a parameter was drawn: values to set, factors to scale by, or what to add."""

    low: float
    high: float
    how: Literal["set", "scale", "add"]

    def around(self, declared: float) -> tuple[float, float]:
        """Between which values the parameter was, where this much was declared."""
        if self.how == "set":
            return self.low, self.high
        if self.how == "scale":
            return declared * self.low, declared * self.high
        return declared + self.low, declared + self.high


class Contract(msgspec.Struct, frozen=True):
    """The contract of a policy.

    Attributes:
        robot, task: names; control_hz: decisions per second.
        observation: in the order of the numbers; action: what the numbers of an action mean.
        actuators: what is driven.
        randomized: the middle 95 % of what training drew, by parameter.
        lineage: where it comes from: version of this toolkit, seed, steps, and what it began with or learned from.
    """

    robot: str
    task: str
    control_hz: float
    observation: tuple[TimedChannel, ...]
    action: tuple[Command, ...]
    actuators: tuple[Driven, ...] = ()
    randomized: dict[str, Range] = {}
    lineage: dict[str, str] = {}

    @property
    def size(self) -> int:
        """How many numbers an observation has."""
        return sum(channel.size for channel in self.observation)

    def jsonable(self) -> dict[str, Any]:
        """As JSON."""
        return msgspec.to_builtins(self)

    @classmethod
    def from_jsonable(cls, data: Any, where: object = "the card") -> Contract:
        """From the JSON of `jsonable`.

        Raises:
            CheckpointError: it is no contract.
        """
        return checked(data, cls, f"{where} holds no contract of a policy", CheckpointError)
