"""Worlds in which options are tried: many plays at once, each in as many worlds as it needs.

Shape suffixes: N worlds, K values of what is hidden, M samples for each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from embodied.agent import Carry, OptionAgent, with_worlds, worlds_of
from embodied.errors import OptionError
from embodied.world.env import BatchEnv
from embodied.world.evidence import Evidence
from embodied.world.state import per_world

State = dict[str, NDArray]
Lanes = NDArray[np.intp]  # numbers of worlds
Seen = Callable[[NDArray, Lanes, NDArray[np.intp]], NDArray]
NOBODY = -1


@dataclass(frozen=True)
class Snapshot:
    """Where everything stands under each value of what is hidden: K worlds, and what the agent carries in them."""

    state: State
    carry: Carry

    @property
    def elapsed_s(self) -> float:
        """Time since the episode began [s]."""
        return float(self.state["_elapsed_s"].min())


@dataclass
class Play:
    """An option that is tried from a snapshot, M times for each value of what is hidden.

    Attributes:
        size: D, how many numbers are seen; seen_of: what is seen in observations `(n, dim)` of some worlds, numbers
            `(n,)`, of values `(n,)`: `(n, D)`; None for what the worlds show (`Evidence`).
        reward, seconds, over: `(K, M)`; seen: the sum of what is seen, `(K, M, D)`.
        end: where it has led, K worlds; None as long as it has led nowhere.
    """

    begin: Snapshot
    option: int
    samples: int
    seed: int
    size: int
    seen_of: Seen | None = None
    end: Snapshot | None = None
    reached: NDArray[np.bool_] = field(init=False)  # (K,), values whose world in `end` is their own

    def __post_init__(self) -> None:
        k = len(self.begin.state["_elapsed_s"])
        shape = (k, self.samples)
        self.reward, self.seconds, self.seen = np.zeros(shape), np.zeros(shape), np.zeros((*shape, self.size))
        self.over, self.reached = np.zeros(shape, bool), np.zeros(k, bool)
        self.waiting = self.left = k * self.samples

    @property
    def done(self) -> bool:
        """Whether all of its worlds have come to the end."""
        return not self.left


class Imagination:
    """Worlds beside the real ones, in which an agent's options are tried from any snapshot of these.

    Plays share the worlds: whichever is free takes up what waits longest. What a play leads to does not depend on what
    else is tried.

    Args:
        env: the worlds, in "NextStep" mode.
        agent: whose options are tried.

    Attributes:
        evidence: what the worlds show of the hidden variable.
        simulated_s: time that has been simulated for plays, over all worlds [s].

    Raises:
        OptionError: the worlds are of another mode, or the agent has no options.
    """

    def __init__(self, env: BatchEnv, agent: OptionAgent) -> None:
        if env.autoreset_mode is not AutoresetMode.NEXT_STEP:
            raise OptionError("worlds to imagine in must be in NextStep mode, in which an ended episode stays seen")
        if not agent.options:
            raise OptionError("the agent has no options to plan with")
        self.env, self.agent, self.simulated_s = env, agent, 0.0
        self._seconds = np.array(list(agent.options.values()))
        env.reset(seed=0)
        self.evidence = Evidence.through(env)
        self._carry = agent.initial(env.num_envs, 0)
        self._waiting: deque[Play] = deque()
        self._plays: list[Play | None] = [None] * env.num_envs
        self._cell = np.full((env.num_envs, 2), NOBODY)  # value and sample that each world is for
        self._until_s = np.zeros(env.num_envs)
        self._per_world: tuple[str, ...] | None = None

    @property
    def vacant(self) -> bool:
        """Whether there are worlds for more than what waits."""
        return int((self._cell[:, 0] == NOBODY).sum()) > sum(play.waiting for play in self._waiting)

    def snapshot(self, here: BatchEnv, world: int, values: NDArray[np.float64], carry: Carry) -> Snapshot:
        """A world of an environment of the same task, as it stands, but for what is hidden: K `values (K, k)`.

        Args:
            here: of another number of worlds; carry: what the agent carries there, `(1, …)`.

        Raises:
            OptionError: there are too few worlds for so many values, or as many as real ones.
        """
        n, k = self.env.num_envs, len(values)
        if n < k or n == here.num_envs:
            raise OptionError(
                f"{n} worlds, beside {here.num_envs} real ones, to imagine {k} values in: it takes at least as many "
                "as values, and not as many as there are real ones"
            )
        now = self.env.get_state()
        real = {name: value for name, value in here.get_state().items() if not name.startswith("adversary/")}
        self._per_world = self._per_world or per_world(now, real)
        copies = np.full(n, world)
        self.env.set_state(now | {name: real[name][copies] for name in self._per_world})
        self.env.set_hidden(values[np.arange(n) % k])
        imagined = self.env.get_state()
        self.env.set_state(now)
        state = {name: imagined[name][:k].copy() for name in self._per_world}
        return Snapshot(state, worlds_of(carry, np.zeros(k, np.intp)))

    def play(self, play: Play) -> None:
        """Has an option tried as soon as there are worlds for it."""
        self._waiting.append(play)

    def stop(self, plays: Collection[Play]) -> None:
        """Gives up plays that nobody wants to know about any more."""
        unwanted = {id(play) for play in plays}
        self._waiting = deque(play for play in self._waiting if id(play) not in unwanted)
        for lane, play in enumerate(self._plays):
            if id(play) in unwanted:
                self._plays[lane], self._cell[lane] = None, NOBODY

    def advance(self) -> bool:
        """Moves all that is tried on by one decision; False if nothing is."""
        self._fill()
        lanes = np.flatnonzero(self._cell[:, 0] != NOBODY)
        if not len(lanes):
            return False
        env, hz = self.env, self.env.task.control_hz
        first = np.zeros(env.num_envs, bool)
        self._carry, action = self.agent.act(self._carry, env.last_obs, first)
        obs, reward, terminated, truncated, _ = env.step(action)
        self.simulated_s += len(lanes) / hz
        ended, shown = terminated | truncated, None
        for play, mine in self._by_play(lanes):
            value, sample = self._cell[mine].T
            play.reward[value, sample] += reward[mine]
            play.seconds[value, sample] += 1 / hz
            if play.seen_of is None:
                shown = self.evidence.of(obs) if shown is None else shown
                play.seen[value, sample] += shown[mine]
            else:
                play.seen[value, sample] += play.seen_of(obs[mine], mine, value)
            play.over[value, sample] = ended[mine]
        self._until_s[lanes] -= 1 / hz
        self._take_out(lanes[ended[lanes] | (self._until_s[lanes] <= 1e-9)], ended)
        return True

    def _fill(self) -> None:
        """Gives free worlds to what waits."""
        free = np.flatnonzero(self._cell[:, 0] == NOBODY)
        if not (len(free) and self._waiting):
            return
        state = self.env.get_state()
        filled: list[tuple[Lanes, NDArray[np.uint64]]] = []
        while len(free) and self._waiting:
            play = self._waiting[0]
            lanes, free = free[: play.waiting], free[play.waiting :]
            cells = play.reward.size - play.waiting + np.arange(len(lanes))
            play.waiting -= len(lanes)
            if not play.waiting:
                self._waiting.popleft()
            self._put(play, lanes, *np.divmod(cells, play.samples), state)
            filled.append((lanes, (play.seed + cells).astype(np.uint64)))
        self.env.set_state(state)
        for lanes, numbers in filled:
            self.env.streams.fork(numbers, lanes)

    def _put(self, play: Play, lanes: Lanes, value: NDArray, sample: NDArray, state: State) -> None:
        """Lets a play begin in some worlds."""
        assert self._per_world is not None
        for name in self._per_world:
            state[name][lanes] = play.begin.state[name][value]
        which = np.full(len(lanes), play.option)
        carry = self.agent.set_option(worlds_of(play.begin.carry, value), which)
        self._carry = with_worlds(self._carry, lanes, carry)
        self._cell[lanes] = np.column_stack([value, sample])
        self._until_s[lanes] = self._seconds[play.option]
        for lane in lanes:
            self._plays[lane] = play

    def _take_out(self, lanes: Lanes, ended: NDArray[np.bool_]) -> None:
        """Notes where plays have come to, and frees their worlds."""
        going = lanes[~ended[lanes]]
        state = self.env.get_state() if len(going) else {}
        for play, mine in self._by_play(lanes):
            play.left -= len(mine)
            on = mine[~ended[mine]]
            if len(on):
                self._note_end(play, on, state)
        self._cell[lanes] = NOBODY
        for lane in lanes:
            self._plays[lane] = None

    def _note_end(self, play: Play, lanes: Lanes, state: State) -> None:
        """Keeps one world for each value; where none goes on, that of another value stands for it."""
        assert self._per_world is not None
        value, first = np.unique(self._cell[lanes, 0], return_index=True)
        k = len(play.reached)
        if play.end is None:
            anyone = np.full(k, lanes[0])
            play.end = Snapshot({name: state[name][anyone] for name in self._per_world}, worlds_of(self._carry, anyone))
        new = ~play.reached[value]
        value, lanes = value[new], lanes[first][new]
        for name in self._per_world:
            play.end.state[name][value] = state[name][lanes]
        play.end = Snapshot(play.end.state, with_worlds(play.end.carry, value, worlds_of(self._carry, lanes)))
        play.reached[value] = True

    def _by_play(self, lanes: Lanes) -> list[tuple[Play, Lanes]]:
        """The worlds of each play."""
        mine: dict[int, list[int]] = {}
        for lane in lanes:
            mine.setdefault(id(self._plays[lane]), []).append(int(lane))
        return [(self._play_of(rows[0]), np.array(rows)) for rows in mine.values()]

    def _play_of(self, lane: int) -> Play:
        play = self._plays[lane]
        assert play is not None
        return play
