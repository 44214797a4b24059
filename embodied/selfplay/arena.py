"""A league's table as a learner's environment: games in blocks, each against another opponent, in either seat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from embodied.agent import Agent, Carry, act_in
from embodied.errors import OptionError
from embodied.hidden import Extras
from embodied.selfplay.agents import seated_space, with_seat
from embodied.selfplay.games import Games, Tick
from embodied.spaces import MASK

LONGEST = 10_000  # moves of a game
MOST_DEALT = 1_000  # games on end in which the learner may be left without a move


@dataclass(frozen=True)
class Result:
    """How a game ended for the learner: `score` is 1 for a win, ½ for a draw, 0 for a defeat; `payoff` its return."""

    block: int
    game: int
    seat: int
    score: float
    payoff: float


class Arena(VectorEnv):
    """The learner sits in the first seat of every other game and in the second of the rest.

    What is seen is a row of the game and the seat; episodes that ended wait for their reset. In a game of turns, a step
    lasts until the learner's next one. `results` collects how games ended, until it is taken.

    Args:
        games: what is played.
        blocks: how many games each opponent plays; an even number, so that both seats are taken equally often.
        longest: moves after which a game is cut off, and is what was paid until then.

    Attributes:
        finished: games that were played to their end since their block's opponent sat down, `(N,)`.
    """

    def __init__(self, games: Games, blocks: tuple[int, ...], longest: int = LONGEST) -> None:
        if sum(blocks) != games.num_games or any(size % 2 or size < 2 for size in blocks):
            raise OptionError(f"blocks of {blocks} games must be even and add up to {games.num_games}")
        self.games = games
        self.num_envs = n = games.num_games
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED, "render_modes": []}
        self.render_mode = None
        self.shaping_curriculum = games.shaping_curriculum
        self.single_observation_space = seated_space(games.observation_space)
        self.single_action_space = games.action_space
        self.observation_space = batch_space(self.single_observation_space, n)
        self.action_space = batch_space(self.single_action_space, n)
        self.embodied_extras = Extras(games.hidden[0] if _alike(games.hidden) else ())
        ends = np.cumsum(blocks)
        self.blocks = [slice(int(end - size), int(end)) for end, size in zip(ends, blocks, strict=True)]
        self.seats = np.arange(n) % 2
        self.results: list[Result] = []
        self._opponents: list[Agent | None] = [None] * len(blocks)
        self._carries: list[Carry] = [None] * len(blocks)
        self._games = np.arange(n)
        self._block_of = np.repeat(np.arange(len(blocks)), blocks)
        self._first = np.ones((2, n), bool)  # of learner and opponent: whether it has not moved in this game yet
        self._return = np.zeros(n)
        self._owed = np.zeros(n)  # paid before the learner had moved
        self._moves = np.zeros(n, int)
        self._longest = longest
        self.finished = np.zeros(n, bool)

    def seat(self, block: int, opponent: Agent, seed: int) -> None:
        """Lets an opponent play a block from its next games on; they are to be reset now."""
        rows = self.blocks[block]
        self.finished[rows] = False
        self._opponents[block] = opponent
        self._carries[block] = opponent.initial(rows.stop - rows.start, seed)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray, dict[str, Any]]:
        """Starts all games, or those of `options["reset_mask"]`."""
        mask = (options or {}).get("reset_mask")
        fresh = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask)
        self._begin(fresh, seed)
        self._wait(fresh)
        return self._seen(), self._info()

    def step(self, actions: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Moves every game until it is the learner's turn again, or over."""
        n = self.num_envs
        reward = np.zeros(n, np.float32)
        terminated, truncated, void = (np.zeros(n, bool) for _ in range(3))
        playing = np.ones(n, bool)
        while playing.any():
            tick = self._tick(actions, playing)
            reward += tick.reward
            terminated |= tick.terminated
            truncated |= tick.truncated
            void |= tick.void
            playing &= ~(tick.terminated | tick.truncated) & ~self._may_move
        own = (np.where(self.seats == 0, reward, -reward) + self._owed).astype(np.float32)
        self._return += own
        self._owed[:] = 0
        ended = terminated | truncated
        self._write_down(ended & ~void)
        won = ended & ~void & (self._return > 0)
        info = self._info() | {"success": won, "failed": void}
        return self._seen(), own, terminated, truncated & ~terminated, info

    def take_results(self) -> list[Result]:
        """Returns how games ended since the last call."""
        taken, self.results = self.results, []
        return taken

    def _begin(self, games: NDArray[np.bool_], seed: int | None = None) -> None:
        self.games.reset(seed, games)
        self._first[:, games] = True
        self._return[games], self._owed[games], self._moves[games] = 0, 0, 0

    def _tick(self, actions: NDArray, playing: NDArray[np.bool_]) -> Tick:
        """Moves some games; cuts off those that go on for too long."""
        tick = self.games.step(self._both(actions, playing), playing)
        self._moves += playing
        tick.truncated |= playing & (self._moves >= self._longest) & ~tick.terminated
        return tick

    def _wait(self, games: NDArray[np.bool_]) -> None:
        """Lets opponents begin in games in which the learner moves second.

        Where a game ends before that, it counts, and another one is begun: nothing is to be learned from it.
        """
        waiting = games & ~self._may_move
        nothing = np.zeros((self.num_envs, *(self.single_action_space.shape or ())), self.single_action_space.dtype)
        dealt = np.zeros(self.num_envs, int)
        while waiting.any():
            tick = self._tick(nothing, waiting)
            self._owed += np.where(self.seats == 0, tick.reward, -tick.reward)
            over = waiting & (tick.terminated | tick.truncated)
            if over.any():
                self._return[over] = self._owed[over]
                self._write_down(over & ~tick.void)
                self._begin(over)
                dealt += over
                if dealt.max() > MOST_DEALT:
                    raise OptionError(f"{MOST_DEALT} games on end were over before the learner could move")
            waiting &= ~self._may_move

    @property
    def _may_move(self) -> NDArray[np.bool_]:
        return self.games.to_move[self.seats, self._games]

    def _both(self, actions: NDArray, playing: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
        """The learner's actions and its opponents', as those of the first and the second seat."""
        replies = np.zeros((self.num_envs, *(self.single_action_space.shape or ())), self.single_action_space.dtype)
        moving = playing & self.games.to_move[1 - self.seats, self._games]
        seen = with_seat(self.games.rows[1 - self.seats, self._games], 1 - self.seats)
        allowed = None if self.games.allowed is None else self.games.allowed[1 - self.seats, self._games]
        for block, (rows, opponent) in enumerate(zip(self.blocks, self._opponents, strict=True)):
            if moving[rows].any():
                if opponent is None:
                    raise OptionError("nobody sits across the table: call seat() for every block")
                mask = None if allowed is None else allowed[rows]
                self._carries[block], replies[rows] = act_in(
                    opponent, self._carries[block], seen[rows], self._first[1, rows], moving[rows], mask
                )
        self._first[1] &= ~moving
        self._first[0] &= ~(playing & self._may_move)
        is_first = (self.seats == 0).reshape(-1, *[1] * (replies.ndim - 1))
        mine = np.asarray(actions).reshape(replies.shape)
        return np.where(is_first, mine, replies), np.where(is_first, replies, mine)

    def _write_down(self, ended: NDArray[np.bool_]) -> None:
        self.finished |= ended
        for i in np.flatnonzero(ended):
            score = 0.5 + 0.5 * float(np.sign(round(self._return[i], 6)))
            self.results.append(
                Result(int(self._block_of[i]), int(i), int(self.seats[i]), score, float(self._return[i]))
            )

    def _seen(self) -> NDArray[np.float32]:
        return with_seat(self.games.rows[self.seats, self._games], self.seats)

    def _info(self) -> dict[str, Any]:
        first, second = self.games.privileged
        info: dict[str, Any] = {}
        for name in first:
            info[name] = np.where(_column(self.seats == 0, first[name]), first[name], second[name])
        if self.games.allowed is not None:
            info[MASK] = self.games.allowed[self.seats, self._games]
        return info


def _column(flags: NDArray, like: NDArray) -> NDArray:
    return flags.reshape(-1, *[1] * (like.ndim - 1))


def _alike(hidden: tuple[tuple[Any, ...], tuple[Any, ...]]) -> bool:
    """Whether both seats have hidden variables of the same kinds and ranges, but for their names."""
    first, second = ([{**vars(v), "name": ""} for v in seat] for seat in hidden)
    return bool(first) and first == second
