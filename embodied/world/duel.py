"""Two robots in one world, playing against each other: batched, as one learner's environment, and for PettingZoo."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from embodied.agent import Agent
from embodied.errors import ActionError, NotResetError, UnknownNameError
from embodied.hidden import Extras, Hidden
from embodied.layout import Layout
from embodied.randomization.spec import Randomization
from embodied.robot.batched import BatchedRobot
from embodied.robot.robot import Robot
from embodied.world.env import BatchEnv
from embodied.world.observation import form_of
from embodied.world.task import Task


class DuelTask(Task):
    """A game of two robots; what one wins, the other loses.

    Everything holds both seats: `truth` and `state` hold the columns of the first seat and then, as many, those
    of the second; `potential` and the success of an `Outcome` are `(N, 2)`; its reward is that of the first seat.

    Attributes:
        seats: names of the two roles.
        players: their bodies.
        hidden: what is hidden from the first seat, then what is hidden from the second; equally many.
    """

    seats: ClassVar[tuple[str, str]]
    players: tuple[Robot, Robot]

    @property
    def robots(self) -> dict[str, Robot]:
        """The bodies, by prefix."""
        return {f"{seat}/": robot for seat, robot in zip(self.seats, self.players, strict=True)}

    @abstractmethod
    def scripted(self, seat: Seat) -> Agent:
        """Returns a hand-written player for a seat."""

    def expert(self, seat: Seat) -> Agent:
        """Returns whom a beginner in a seat imitates: the hand-written player, unless another one teaches more."""
        return self.scripted(seat)

    def seat(self, name: str | int) -> int:
        """Returns the number of a seat.

        Raises:
            UnknownNameError: there is no such seat.
        """
        if name in (0, 1):
            return int(name)
        if name not in self.seats:
            raise UnknownNameError("seat", name, self.seats)
        return self.seats.index(str(name))


@dataclass(frozen=True)
class Seat:
    """Where the numbers of one seat stand in those of the game."""

    number: int
    name: str
    layout: Layout
    observation: slice
    action: slice
    hidden: slice
    state: slice
    observation_space: spaces.Box
    action_space: spaces.Box


class Duel:
    """N games of one task at once: the protocol that leagues use.

    `reset` and `step` return observations of both seats, `(N, dim)` each; `step` takes the actions of both. Rewards
    are those of the first seat; the second earns their negative.
    """

    def __init__(
        self,
        task: DuelTask,
        num_envs: int = 1,
        threads: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        randomize: Randomization | None = None,
    ) -> None:
        self.env = BatchEnv(task, num_envs, threads, autoreset_mode, render_mode, randomize)
        self.task = task
        self.num_envs = num_envs
        self.seats = _seats(task, self.env)

    def reset(self, seed: int | None = None, mask: NDArray | None = None) -> tuple[tuple[NDArray, ...], dict[str, Any]]:
        """Starts games in all worlds, or those of `mask (N,)`."""
        obs, info = self.env.reset(seed=seed, options=None if mask is None else {"reset_mask": mask})
        return self.split(obs), info

    def step(
        self, actions: tuple[NDArray, NDArray]
    ) -> tuple[tuple[NDArray, ...], NDArray, NDArray, NDArray, dict[str, Any]]:
        """Moves every game by one decision of both."""
        for seat, action in zip(self.seats, actions, strict=True):
            expected = (self.num_envs, *seat.action_space.shape)
            if np.shape(action) != expected:
                raise ActionError(f"actions of the {seat.name} have shape {np.shape(action)}, expected {expected}")
        obs, reward, terminated, truncated, info = self.env.step(np.concatenate(actions, axis=1))
        return self.split(obs), reward, terminated, truncated, info

    def split(self, obs: NDArray) -> tuple[NDArray, ...]:
        """Observations of the game as those of each seat."""
        return tuple(obs[:, seat.observation] for seat in self.seats)


class Versus(VectorEnv):
    """A duel as one seat's environment; an agent sits in the other.

    Args:
        duel: the games.
        seat: the learner's seat.
        opponent: who plays the other.
        observation: "flat" or "dict" (see `BatchEnv`).
    """

    def __init__(self, duel: Duel, seat: int, opponent: Agent, observation: str = "flat") -> None:
        self.duel, self.opponent = duel, opponent
        self.mine, self.other = duel.seats[seat], duel.seats[1 - seat]
        self.task, self.layout = duel.task, self.mine.layout
        self.num_envs = duel.num_envs
        self.metadata = duel.env.metadata
        self.render_mode = duel.env.render_mode
        self.form = form_of(observation, self.layout)
        self.single_observation_space = self.form.space
        self.single_action_space = self.mine.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.hidden: tuple[Hidden, ...] = duel.task.hidden[self.mine.hidden]
        self.embodied_extras = Extras(self.hidden)
        self.batch = duel.env.batch
        self._sign = 1.0 if seat == 0 else -1.0
        self._late = duel.env.autoreset_mode is AutoresetMode.NEXT_STEP  # episodes begin one step after they end
        self._seated = False  # whether the opponent has a carry
        self._first, self._ended = np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool)
        self.reply = np.zeros((self.num_envs, *self.other.action_space.shape), np.float32)

    @property
    def facing(self) -> NDArray:
        """What the opponent sees now, `(N, dim)`; `reply (N, nu)` is what it did last."""
        return self._facing

    @property
    def body(self) -> BatchedRobot:
        """The body in the learner's seat."""
        return self.duel.env.bodies[self.mine.number]

    @property
    def substeps(self) -> int:
        """Physics ticks per decision."""
        return self.duel.env.substeps

    @property
    def started(self) -> bool:
        """Whether it was reset before."""
        return self.duel.env.started

    @property
    def action_layout(self) -> Layout:
        """What the numbers of the learner's action are."""
        return self.body.robot.commands

    def log_likelihood(self, obs: Any) -> None:
        """No exact one is known."""
        return None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts games in all worlds, or in those of `options["reset_mask"]`."""
        mask = (options or {}).get("reset_mask")
        obs, info = self.duel.reset(seed, mask)
        if not self._seated or (mask is None and seed is not None):
            self._seated = True
            self._carry = self.opponent.initial(self.num_envs, 0 if seed is None else seed)
        fresh = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask)
        self._first, self._ended = self._first | fresh, self._ended & ~fresh
        self._facing = obs[self.other.number]
        return self.form.of(obs[self.mine.number]), self._seen(info)

    def step(self, actions: NDArray) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Moves every game by one decision; the opponent decides on what it saw last."""
        if not self._seated:
            raise NotResetError("call reset() before the first step()")
        self._carry, self.reply = self.opponent.act(self._carry, self._facing, self._first)
        pair = (actions, self.reply) if self.mine.number == 0 else (self.reply, actions)
        obs, reward, terminated, truncated, info = self.duel.step((pair[0], pair[1]))
        self._facing = obs[self.other.number]
        ended = terminated | truncated
        self._first = self._ended if self._late else ended
        self._ended = ended
        return self.form.of(obs[self.mine.number]), self._sign * reward, terminated, truncated, self._seen(info)

    def render(self) -> Any:
        """Returns one picture per game."""
        return self.duel.env.render()

    def close_extras(self, **kwargs: Any) -> None:
        """Frees renderers."""
        self.duel.env.close()

    def _seen(self, info: dict[str, Any]) -> dict[str, Any]:
        """The info of a game for this seat."""
        seen = dict(info)
        seen["hidden"] = info["hidden"][:, self.mine.hidden]
        seen["state"] = info["state"][:, self.mine.state]
        seen["shaping"] = info["shaping"][:, self.mine.number]
        if info["success"].ndim == 2:  # of a step, not by a reset
            seen["success"] = info["success"][:, self.mine.number]
        if "final_obs" in info:
            seen["final_obs"] = self.form.of(info["final_obs"][:, self.mine.observation])
            seen["final_info"] = self._seen(info["final_info"])
        return seen


class DuelEnv(ParallelEnv):
    """One game for PettingZoo: agents are named after their seats.

    Infos hold `failed`: the physics diverged, and the game that ends with it is void.
    """

    embodied_extras = Extras()

    def __init__(self, task: DuelTask, name: str, render_mode: str | None = None) -> None:
        self.duel = Duel(task, 1, 1, AutoresetMode.DISABLED, render_mode)
        self.task = task
        self.metadata = {"name": name, "render_modes": ["rgb_array"], "render_fps": round(task.control_hz)}
        self.render_mode = render_mode
        self.possible_agents = list(task.seats)
        self.agents: list[str] = []
        self.observation_spaces = {seat.name: seat.observation_space for seat in self.duel.seats}
        self.action_spaces = {seat.name: seat.action_space for seat in self.duel.seats}

    def observation_space(self, agent: str) -> spaces.Box:
        """What that agent observes."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Box:
        """What that agent can do."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Starts a game; the same seed, the same game."""
        obs, info = self.duel.reset(seed)
        self.agents = list(self.possible_agents)
        return self._by_seat([rows[0] for rows in obs]), self._infos(info)

    def step(
        self, actions: dict[str, NDArray]
    ) -> tuple[dict[str, NDArray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]]:
        """Makes one decision of both."""
        first, second = (np.asarray(actions[seat.name], np.float64)[None] for seat in self.duel.seats)
        obs, reward, terminated, truncated, info = self.duel.step((first, second))
        over = bool(terminated[0] or truncated[0])
        out = (
            self._by_seat([rows[0] for rows in obs]),
            self._by_seat([float(reward[0]), -float(reward[0])]),
            self._by_seat([bool(terminated[0])] * 2),
            self._by_seat([bool(truncated[0])] * 2),
            self._infos(info),
        )
        if over:
            self.agents = []
        return out

    def render(self) -> NDArray | None:
        """Returns a picture of the game."""
        pictures = self.duel.env.render()
        return None if pictures is None else pictures[0]

    def close(self) -> None:
        """Frees renderers."""
        self.duel.env.close()

    def _by_seat(self, values: list[Any]) -> dict[str, Any]:
        return dict(zip(self.possible_agents, values, strict=True))

    def _infos(self, info: dict[str, Any]) -> dict[str, Any]:
        infos = []
        for seat in self.duel.seats:
            parts = {"hidden": seat.hidden, "state": seat.state}
            infos.append({key: info[key][0, part] for key, part in parts.items()})
            infos[-1] |= {"shaping": info["shaping"][0, seat.number], "failed": bool(info["failed"][0])}
        return self._by_seat(infos)


def _seats(task: DuelTask, env: BatchEnv) -> tuple[Seat, Seat]:
    seats, observed, acted = [], 0, 0
    half = len(task.hidden) // 2
    width = task.state().shape[1] // 2
    for number, (name, robot) in enumerate(zip(task.seats, task.players, strict=True)):
        layout, motors = robot.layout, len(robot.actuators)
        seats.append(
            Seat(
                number,
                name,
                layout,
                slice(observed, observed + layout.size),
                slice(acted, acted + motors),
                slice(number * half, (number + 1) * half),
                slice(number * width, (number + 1) * width),
                spaces.Box(layout.low, layout.high, dtype=np.float32),
                spaces.Box(-1.0, 1.0, (motors,), np.float32),
            )
        )
        observed, acted = observed + layout.size, acted + motors
    return seats[0], seats[1]
