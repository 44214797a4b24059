"""Controls for active perception: the same agent with its looking taken away, in part or altogether."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent, Carry, belief_of
from embodied.errors import UnknownNameError
from embodied.layout import Layout

Blank = Callable[[NDArray], NDArray]  # observations (n, dim) as they would be if nothing had been found out in them


class FixedGaze:
    """The agent, with one of its actions held: the head that it would turn."""

    def __init__(self, agent: Agent, column: int, value: float) -> None:
        self._agent, self._column, self._value = agent, column, value

    def initial(self, n: int, seed: int) -> Carry:
        """The agent's own carry."""
        return self._agent.initial(n, seed)

    def act(self, carry: Carry, obs: NDArray, first: NDArray) -> tuple[Carry, NDArray]:
        """The agent's own action but for the head."""
        carry, action = self._agent.act(carry, obs, first)
        action = np.array(action)
        action[:, self._column] = self._value
        return carry, action

    def belief(self, carry: Carry) -> NDArray | None:
        """The agent's own."""
        return belief_of(self._agent, carry)


@dataclass
class _Looked:
    carry: Carry
    times: NDArray[np.intp]  # (n,), decisions in which something was found out
    shown: NDArray  # (n, dim), what it was shown last


class FrozenLooks:
    """The agent, whose channel of information is cut once it has looked so many times; with 0, from the beginning."""

    def __init__(self, agent: Agent, blank: Blank, looks: int) -> None:
        self._agent, self._blank, self._looks = agent, blank, looks

    def initial(self, n: int, seed: int) -> _Looked:
        """The agent's own carry, before any look."""
        return _Looked(self._agent.initial(n, seed), np.zeros(n, np.intp), np.zeros((n, 0)))

    def act(self, carry: _Looked, obs: NDArray, first: NDArray) -> tuple[_Looked, NDArray]:
        """The agent's own action on what it is still allowed to find out."""
        blank = self._blank(obs)
        times = np.where(first, 0, carry.times)
        shown = np.where((times < self._looks)[:, None], obs, blank)
        inner, action = self._agent.act(carry.carry, shown, first)
        return _Looked(inner, times + (obs != blank).any(axis=1), shown), action

    def shown(self, carry: _Looked) -> NDArray:
        """What it was shown of the last observations, `(n, dim)`."""
        return carry.shown

    def belief(self, carry: _Looked) -> NDArray | None:
        """The agent's own."""
        return belief_of(self._agent, carry.carry)


class Forgetful:
    """An agent to which every step is the first."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def initial(self, n: int, seed: int) -> Carry:
        """The agent's own carry."""
        return self._agent.initial(n, seed)

    def act(self, carry: Carry, obs: NDArray, first: NDArray) -> tuple[Carry, NDArray]:
        """What the agent would do at the beginning."""
        return self._agent.act(carry, obs, np.ones(len(obs), bool))


def blank_of(task: Any) -> Blank:
    """What observations would be if nothing could be found out: fine print unread; where there is none, nothing seen,
    no range and no current measured.
    """
    layout = task.robot.layout
    for camera in task.robot.line_cameras:
        if getattr(camera, "legible", None):
            return unread(layout.slice(f"{camera.name}/class"), camera.classes, camera.legible)
    return unmeasured(layout)


def unread(where: slice, classes: Any, legible: Any) -> Blank:
    """Pixels show fine print as it looks from afar."""
    far = np.zeros((len(classes), len(classes)), np.float32)
    far[np.arange(len(classes)), [classes.index(legible.get(name, name)) for name in classes]] = 1.0

    def blank(obs: NDArray) -> NDArray:
        shown = obs.copy()
        pixels = obs[:, where].reshape(len(obs), -1, len(classes))
        shown[:, where] = np.einsum("npc,cd->npd", pixels, far).reshape(len(obs), -1)
        return shown

    return blank


def unmeasured(layout: Layout) -> Blank:
    """No pixel sees anything, no beam returns and no current flows.

    Raises:
        UnknownNameError: the robot measures nothing of the kind.
    """
    nothing = {"class": 0.0, "valid": 0.0, "current": 0.0, "range": np.inf}
    channels = {c.name: nothing[kind] for c in layout.channels if (kind := c.name.split("/")[-1]) in nothing}
    if not channels:
        raise UnknownNameError("channel of information", "class", [c.name for c in layout.channels])

    def blank(obs: NDArray) -> NDArray:
        shown = obs.copy()
        for name, value in channels.items():
            where = layout.slice(name)
            shown[:, where] = np.minimum(value, layout.high[where])
        return shown

    return blank
