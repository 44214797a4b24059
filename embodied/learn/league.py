"""Self-play in a league: a learner against its own past, its present, scripted founders, and exploiters.

Opponents are drawn as in fictitious play: some games against the learner as it is, some against past members drawn
uniformly (δ-uniform: from the newer part), some as none of the members could beat (policy-space response oracles;
Lanctot et al. 2017), the others those that it does worst against (prioritised fictitious self-play, Vinyals et al.
2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from embodied.errors import OptionError
from embodied.learn.arena import Arena
from embodied.learn.checkpoint import check_spaces
from embodied.learn.games import Games
from embodied.learn.judging import Table, interval, play, tournament
from embodied.learn.opponents import Mixture, NetworkOpponent, Opponent, RandomOpponent
from embodied.learn.payoffs import Payoffs
from embodied.learn.policy import SequencePolicy
from embodied.learn.pool import Member, Pool
from embodied.learn.ppo import SequencePPO
from embodied.learn.saving import TRAINER_CARD
from embodied.learn.vec import GymVecEnv
from embodied.mind.equilibrium import nash_mixture

LEARNER, POOL, PAYOFFS = "policy", "pool", "payoffs.json"
FORGETTING = 0.98  # per game, of the learner's score against a member
LEAST_PRIORITY = 0.02  # of an opponent that is always beaten
ENOUGH = 20  # games, before a score says who is champion
RANDOM = "random"
TEACHING = ("teacher", "lessons", "reminders")  # settings of a learner that its exploiters do without


@dataclass(frozen=True)
class LeagueOptions:
    """How opponents are drawn and members are made.

    Attributes:
        slots: different opponents at once.
        latest: share of the games that the learner plays against itself as it is.
        founders: share of the rest that goes to scripted founders, where there are any.
        uniform: share of the rest that goes to members drawn uniformly; the others are drawn by priority.
        equilibrium: share of what is left then that goes to members drawn by the mixture that none of them beats. For
            that, every new member plays all the others, which takes time.
        rounds: how often they play each of their worlds, from both seats.
        delta: the uniform ones come from the newest 1 − delta of the members; 0 draws from all.
        members: how many snapshots a training makes.
        size: how many members with weights are kept.
        stay: rollouts for which an opponent stays.
    """

    slots: int = 8
    latest: float = 0.25
    founders: float = 0.25
    uniform: float = 0.4
    equilibrium: float = 0.0
    rounds: int = 2
    delta: float = 0.0
    members: int = 20
    size: int = 24
    stay: int = 8

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in ("latest", "founders", "uniform", "equilibrium", "delta")}
        wrong = [name for name, share in shares.items() if not 0 <= share <= 1]
        if wrong or min(self.slots, self.members, self.stay, self.rounds) < 1:
            raise OptionError(
                f"shares must be 0 to 1, slots, members, stay and rounds at least 1: {', '.join(wrong) or self}"
            )


class League:
    """A learner and those it learns from; lives in a folder, and goes on from there.

    Args:
        games: what is played.
        policy: class of the learner's policy.
        folder: where learner and members are kept; what is there is taken up.
        founders: scripted players, by name.
        seed: decides everything.
        writable: whether anything in the folder may change; not beside a training that goes on there.
        learner: further keyword arguments of `SequencePPO`.
    """

    def __init__(
        self,
        games: Games,
        policy: type[SequencePolicy],
        folder: Path,
        founders: dict[str, Callable[[], Opponent]] | None = None,
        options: LeagueOptions = LeagueOptions(),
        seed: int = 0,
        writable: bool = True,
        **learner: Any,
    ) -> None:
        self.games, self.folder, self.options, self.seed = games, folder, options, seed
        self._founders = {RANDOM: lambda: RandomOpponent(games.action_space)} if founders is None else founders
        self._policy = policy
        self._settings = {name: value for name, value in learner.items() if name not in TEACHING}
        self.pool = Pool(folder / POOL, options.size, writable, self._check)
        self.pool.found(list(self._founders))
        self.arena = Arena(games, block_sizes(games.num_games, options))
        self._drawn = np.random.default_rng([seed, self.pool.made])
        self._payoffs = Payoffs(folder / POOL / PAYOFFS, writable)
        self._mixture: tuple[list[str], NDArray[np.float64]] = ([], np.zeros(0))
        self._sat: list[str | None] = [None] * len(self.arena.blocks)
        for block in range(len(self.arena.blocks)):
            self.arena.seat(block, RandomOpponent(games.action_space), seed)
        self.learner = SequencePPO(policy, GymVecEnv(self.arena), seed=seed, **learner)
        if (folder / LEARNER / TRAINER_CARD).is_file():  # what is written last
            self.learner.resume(folder / LEARNER)

    @property
    def founders(self) -> tuple[str, ...]:
        """Names of the scripted players."""
        return tuple(self._founders)

    def learn(self, steps: int, callbacks: list[BaseCallback] | None = None) -> None:
        """Trains until the learner has made `steps` steps in all; a member is made every `steps / members`."""
        left = steps - self.learner.num_timesteps
        if left > 0:
            self.solve()
            for block in range(len(self.arena.blocks)):
                self.fill(block, None if block == 0 and self.options.latest else self.draw())
            keeper = _Keeper(self, max(1, steps // self.options.members))
            self.learner.learn(left, callback=[*(callbacks or []), keeper], reset_num_timesteps=False)
            self.count()
            keeper.snapshot_if_due()
        self.save()

    def _check(self, policy: SequencePolicy) -> None:
        """Refuses policies of another game."""
        check_spaces(policy.card(), self.arena.single_observation_space, self.arena.single_action_space, "this game")

    def save(self) -> None:
        """Writes learner and pool."""
        self.learner.save(self.folder / LEARNER)
        self.pool.write()

    def snapshot(self, kind: str | None = None) -> Member:
        """Freezes the learner: as champion, if it surely beats the last one (more than half of the games, at 95 %)."""
        champion = self.pool.champion
        score = None if champion is None else self.pool.scores[champion]
        better = score is None or (score.games >= ENOUGH and interval(score.wins, score.games)[0] > 0.5)
        self.save()
        return self.pool.add(
            self.learner.policy, kind or ("champion" if better else "snapshot"), self.learner.num_timesteps
        )

    def player(self, name: str, deterministic: bool = False) -> Opponent | None:
        """A member as a player; None if its files are damaged."""
        if name in self._founders:
            return self._founders[name]()
        policy = self.pool.policy(name)
        return None if policy is None else NetworkOpponent(policy, deterministic)

    def average(self, weights: dict[str, float] | None = None) -> Opponent:
        """A league's averaged strategy: in each game one member, uniformly (as in fictitious play) or by `weights`.

        See also `nash`.

        Raises:
            OptionError: there are no members yet.
        """
        weights = weights or dict.fromkeys(self.pool.with_weights, 1.0)
        players = {name: self.player(name) for name in weights}
        present = [name for name, player in players.items() if player is not None]
        if not present:
            raise OptionError(f"the league in {self.folder} has no members yet: train it further")
        return Mixture([p for p in players.values() if p is not None], np.array([weights[name] for name in present]))

    def nash(self, rounds: int = 1, most: int = 20) -> Opponent:
        """The mixture of members that none of them wins against, by the pay-offs of games between them."""
        table = self.table(rounds, most)
        mine = [i for i, name in enumerate(table.names) if name not in self._founders]
        mixture = nash_mixture(table.payoff[np.ix_(mine, mine)]) if mine else np.zeros(0)
        return self.average({table.names[i]: float(w) for i, w in zip(mine, mixture, strict=True)})

    def table(self, rounds: int = 1, most: int = 10) -> Table:
        """Everyone's games against everyone: founders, and up to `most` networks, evenly spread in age."""
        names = self.pool.with_weights
        spread = (
            [names[i] for i in np.unique(np.linspace(0, len(names) - 1, most).round().astype(int))] if names else []
        )
        players = {name: self.player(name) for name in [*self._founders, *spread]}
        return tournament(self.games, {name: p for name, p in players.items() if p is not None}, rounds, self.seed + 1)

    def exploit(self, target: Opponent, steps: int, seed: int = 0) -> tuple[SequencePolicy, NDArray[np.float64]]:
        """Trains a best response to `target` for `steps` steps, from scratch; returns it and its scores against it.

        Its mean score above one half is a lower bound of how exploitable the target is.
        """
        arena = Arena(self.games, (self.games.num_games,))
        arena.seat(0, target, seed)
        rival = SequencePPO(self._policy, GymVecEnv(arena), seed=seed + 1, **self._settings)
        rival.learn(steps)
        scores, _ = play(self.games, NetworkOpponent(rival.policy, True), [target], 2, seed + 2)
        return rival.policy, scores[0]

    def solve(self) -> bool:
        """Lets members that have not met play each other, and works out the mixture that none beats, if it is wanted.

        Returns:
            Whether games were played; those of the learner have to begin anew then.
        """
        if not self.options.equilibrium:
            return False
        players = {name: self.player(name) for name in self.pool.with_weights}
        present = {name: player for name, player in players.items() if player is not None}
        played = self._payoffs.complete(self.games, present, self.options.rounds, self.seed + 2)
        names = list(present)
        self._mixture = names, nash_mixture(self._payoffs.table(names)) if names else np.zeros(0)
        return played

    def draw(self) -> str | None:
        """Draws who plays next; None is the learner as it is."""
        options, random = self.options, self._drawn
        founders, past = list(self._founders), self.pool.with_weights
        if not past or (founders and random.random() < options.founders):
            return self._by_priority(founders) if founders else None
        if random.random() < options.uniform:
            return str(random.choice(past[int(options.delta * (len(past) - 1)) :]))
        names, weights = self._mixture
        if names and random.random() < options.equilibrium:
            return str(random.choice(names, p=weights))
        return self._by_priority(past)

    def _by_priority(self, names: list[str]) -> str:
        """Draws the more often, the more the learner loses: by the square of that share."""
        losing = np.array([(1 - self.pool.scores[name].share) ** 2 + LEAST_PRIORITY for name in names])
        return str(self._drawn.choice(names, p=losing / losing.sum()))

    def fill(self, block: int, name: str | None) -> None:
        """Lets a member, or the learner as it is, play a block."""
        player = NetworkOpponent(self.learner.policy) if name is None else self.player(name)
        while player is None:  # it was damaged, and is out now
            name = self.draw()
            player = NetworkOpponent(self.learner.policy) if name is None else self.player(name)
        self._sat[block] = name
        self.arena.seat(block, player, int(self._drawn.integers(2**31)))

    def count(self) -> None:
        """Counts the games that ended since the last call."""
        for result in self.arena.take_results():
            name = self._sat[result.block]
            if name is not None:
                self.pool.count(name, result.score, FORGETTING)


class _Keeper(BaseCallback):
    """Between rollouts: counts games, changes opponents one block at a time, and makes members."""

    def __init__(self, league: League, every: int) -> None:
        super().__init__()
        self._league, self._every, self._rollouts = league, every, 0

    def _on_rollout_start(self) -> None:
        league = self._league
        league.count()
        solved = self.snapshot_if_due() and league.solve()
        self._rollouts += 1
        blocks = range(1 if league.options.latest else 0, len(league.arena.blocks))
        due = [block for block in blocks if (self._rollouts + block) % league.options.stay == 0]
        for block in due:
            league.fill(block, league.draw())
        if self._rollouts == 1 or solved:
            due = list(range(len(league.arena.blocks)))
        if due:
            self._restart(due)

    def snapshot_if_due(self) -> bool:
        """Makes a member if the last one is old enough; whether it did."""
        newest = max((self._league.pool.members[name].step for name in self._league.pool.with_weights), default=0)
        due = self._league.learner.num_timesteps - newest >= self._every
        if due:
            self._league.snapshot()
        return due

    def _restart(self, blocks: list[int]) -> None:
        """Begins the games of some blocks anew, without a word to the learner but that they are new."""
        league, learner = self._league, self._league.learner
        fresh = np.zeros(learner.n_envs, bool)
        for block in blocks:
            fresh[league.arena.blocks[block]] = True
        env = learner.env
        assert isinstance(env, GymVecEnv)
        learner._last_obs = env.restart(fresh)
        learner._last_episode_starts = np.asarray(learner._last_episode_starts) | fresh

    def _on_step(self) -> bool:
        return True


def block_sizes(games: int, options: LeagueOptions) -> tuple[int, ...]:
    """How many games each opponent plays, even numbers: first the learner as it is, then each slot.

    Raises:
        OptionError: there are too few games for so many opponents.
    """
    latest = round(options.latest * games / 2) * 2
    share = (games - latest) // options.slots // 2 * 2
    if games % 2 or share < 2:
        raise OptionError(f"{games} games are too few, or odd, for {options.slots} opponents at once")
    first = games - share * options.slots
    return (first, *[share] * options.slots) if options.latest else (share + first, *[share] * (options.slots - 1))
