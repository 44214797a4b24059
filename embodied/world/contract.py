"""The contract that policies trained on a task can count on."""

from __future__ import annotations

import numpy as np

from embodied.contract import Command, Contract, Driven, Range, TimedChannel
from embodied.layout import Channel
from embodied.randomization.spec import Randomization
from embodied.robot.robot import Robot
from embodied.robot.timing import Timing
from embodied.world.task import Task

DRAWS, MIDDLE = 512, (2.5, 97.5)  # draws that ranges are estimated from, and percentiles between which most lie


def contract_of(task: Task, randomization: Randomization) -> Contract:
    """What a policy is promised by the first body of a task."""
    robot = task.robot
    action = tuple(Command(c.name, c.unit, c.low, c.high) for c in task.action_layout.channels for _ in range(c.size))
    driven = tuple(
        Driven(a.name, a.joint, a.unit, a.command.latency_s, a.command.jitter_s, a.command.dropout)
        for a in robot.actuators
    )
    return Contract(
        robot.name,
        type(task).__name__,
        task.control_hz,
        _observation(robot),
        action,
        driven,
        ranges_of(randomization),
    )


def ranges_of(randomization: Randomization) -> dict[str, Range]:
    """The middle 95 % of what each parameter was drawn from, by name."""
    ranges: dict[str, Range] = {}
    for term in randomization.terms:
        uniforms = np.random.default_rng(0).random((DRAWS, term.by.size))
        low, high = np.percentile(term.by.quantile(uniforms), MIDDLE, axis=0)
        named = zip(term.names, np.resize(low, len(term.names)), np.resize(high, len(term.names)), strict=True)
        ranges |= {name: Range(float(a), float(b), term.how) for name, a, b in named}
    return ranges


def _observation(robot: Robot) -> tuple[TimedChannel, ...]:
    return tuple(_timed(channel, part.timing) for part in robot.perception for channel in part.channels)


def _timed(channel: Channel, timing: Timing) -> TimedChannel:
    place = (channel.name, channel.size, channel.unit, channel.low, channel.high, channel.labels)
    return TimedChannel(*place, timing.rate_hz, timing.latency_s, timing.jitter_s, timing.dropout)
