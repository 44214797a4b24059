"""Self-play in a league: a learner against its own past, its present, scripted anchors, and exploiters.

Opponents are sampled as in fictitious play: some games against the learner as it is, some against past checkpoints,
    sampled uniformly (δ-uniform: from the newer part), some as none of the members could beat (policy-space response
    oracles; Lanctot et al. 2017), the others those that it does worst against (prioritized fictitious self-play,
    Vinyals et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.evaluation.agents import RandomAgent
from embodied.learn.config import PPOConfig
from embodied.learn.ppo import SequencePPO
from embodied.learn.saving import TRAINER_CARD
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import check_spaces
from embodied.nn.config import NetworkConfig
from embodied.nn.generation import has_file
from embodied.nn.policy import SequencePolicy
from embodied.selfplay.agents import Mixture
from embodied.selfplay.arena import Arena
from embodied.selfplay.config import LeagueConfig
from embodied.selfplay.equilibrium import nash_mixture
from embodied.selfplay.games import Games
from embodied.selfplay.payoffs import Payoffs
from embodied.selfplay.population import Member, Population
from embodied.selfplay.tournament import Table, interval, play, tournament
from embodied.vector.vec import GymVecEnv

LEARNER, POPULATION, PAYOFFS = "policy", "population", "payoffs.json"
FORGETTING = 0.98  # per game, of the learner's score against a member
LEAST_PRIORITY = 0.02  # of an opponent that is always beaten
ENOUGH = 20  # games, before a score says who is champion
RANDOM = "random"


class League:
    """A learner and those it learns from; lives in a folder, and goes on from there.

    Args:
        games: what is played.
        policy: of the learner, as for `SequencePPO`.
        folder: where learner and members are kept; what is there is taken up.
        anchors: scripted players, by name.
        seed: decides everything.
        writable: whether anything in the folder may change; not beside a training that goes on there.
        ppo: hyperparameters of the learner, and of exploiters.
        learner: further arguments of `SequencePPO`.
    """

    def __init__(
        self,
        games: Games,
        policy: str | NetworkConfig | type[SequencePolicy],
        folder: Path,
        anchors: dict[str, Callable[[], Agent]] | None = None,
        config: LeagueConfig | None = None,
        seed: int = 0,
        writable: bool = True,
        ppo: PPOConfig | None = None,
        **learner: Any,
    ) -> None:
        config = config or LeagueConfig()
        self.games, self.folder, self.config, self.seed = games, folder, config, seed
        self._anchors = {RANDOM: lambda: RandomAgent(games.action_space)} if anchors is None else anchors
        self._policy, self._ppo = policy, ppo
        self._settings = {name: value for name, value in learner.items() if name != "expert"}  # of exploiters
        self.population = Population(folder / POPULATION, config.population_size, writable, self._check)
        self.population.add_anchors(list(self._anchors))
        self.arena = Arena(games, block_sizes(games.num_games, config), config.longest)
        self._generator = np.random.default_rng([seed, self.population.made])
        self._payoffs = Payoffs(folder / POPULATION / PAYOFFS, writable)
        self._mixture: tuple[list[str], NDArray[np.float64]] = ([], np.zeros(0))
        self._seated: list[str | None] = [None] * len(self.arena.blocks)
        for block in range(len(self.arena.blocks)):
            self.arena.seat(block, RandomAgent(games.action_space), seed)
        self.learner = SequencePPO(policy, GymVecEnv(self.arena), ppo, seed=seed, **learner)
        if has_file(folder / LEARNER, TRAINER_CARD):
            self.learner.resume(folder / LEARNER)

    @property
    def anchors(self) -> tuple[str, ...]:
        """Names of the scripted players."""
        return tuple(self._anchors)

    def learn(self, steps: int, callbacks: list[BaseCallback] | None = None) -> None:
        """Trains up to `steps` steps in all; a member is made every `steps / config.checkpoints`."""
        every = max(1, steps // self.config.checkpoints)
        went_on = True
        while went_on:
            if self.learner.num_timesteps - self.population.newest_step >= every:
                self.snapshot()
            went_on = self.learner.num_timesteps < steps and self._learn_until(
                self.population.newest_step + every, steps, callbacks or []
            )
        self.save()

    def _learn_until(self, member: int, steps: int, callbacks: list[BaseCallback]) -> bool:
        """Trains up to the step at which the next member is due; whether it got there.

        It begins as a league that was taken up from its folder does, so that it does not matter whether it was.
        """
        self._generator = np.random.default_rng([self.seed, self.population.made])
        self.learner.begin_anew()
        self.solve()
        for block in range(len(self.arena.blocks)):
            self.fill(block, None if block == 0 and self.config.latest else self.sample())
        keeper, left = _Keeper(self, member), steps - self.learner.num_timesteps
        self.learner.learn(left, callback=[*callbacks, keeper], reset_num_timesteps=False)
        self.count()
        return self.learner.num_timesteps >= member

    def _check(self, policy: SequencePolicy) -> None:
        """Refuses policies of another game."""
        check_spaces(policy.card(), self.arena.single_observation_space, self.arena.single_action_space, "this game")

    def save(self) -> None:
        """Writes learner and population."""
        self.learner.save(self.folder / LEARNER)
        self.population.write()

    def snapshot(self, kind: str | None = None) -> Member:
        """Freezes the learner: as champion, if it surely beats the last one (more than half of the games, at 95 %)."""
        champion = self.population.champion
        score = None if champion is None else self.population.scores[champion]
        better = score is None or (score.games >= ENOUGH and interval(score.wins, score.games)[0] > 0.5)
        self.save()
        return self.population.add(
            self.learner.policy, kind or ("champion" if better else "snapshot"), self.learner.num_timesteps
        )

    def player(self, name: str, deterministic: bool = False) -> Agent | None:
        """A member as a player; None if its files are damaged."""
        if name in self._anchors:
            return self._anchors[name]()
        policy = self.population.policy(name)
        return None if policy is None else NetworkAgent(policy, deterministic, reuse_memory=True)

    def average(self, weights: dict[str, float] | None = None) -> Agent:
        """A league's averaged strategy: in each game one member, uniformly (as in fictitious play) or by `weights`.

        See also `nash`.

        Raises:
            OptionError: there are no members yet.
        """
        weights = weights or dict.fromkeys(self.population.with_weights, 1.0)
        players = {name: self.player(name) for name in weights}
        present = [name for name, player in players.items() if player is not None]
        if not present:
            raise OptionError(f"the league in {self.folder} has no members yet: train it further")
        return Mixture([p for p in players.values() if p is not None], np.array([weights[name] for name in present]))

    def nash(self, rounds: int = 1, most: int = 20) -> Agent:
        """The mixture of members that none of them wins against, by the pay-offs of games between them."""
        table = self.table(rounds, most)
        mine = [i for i, name in enumerate(table.names) if name not in self._anchors]
        mixture = nash_mixture(table.payoff[np.ix_(mine, mine)]) if mine else np.zeros(0)
        return self.average({table.names[i]: float(w) for i, w in zip(mine, mixture, strict=True)})

    def table(self, rounds: int = 1, most: int = 10) -> Table:
        """Everyone's games against everyone: anchors, and up to `most` networks, evenly spread in age."""
        names = self.population.with_weights
        spread = (
            [names[i] for i in np.unique(np.linspace(0, len(names) - 1, most).round().astype(int))] if names else []
        )
        players = {name: self.player(name) for name in [*self._anchors, *spread]}
        return tournament(self.games, {name: p for name, p in players.items() if p is not None}, rounds, self.seed + 1)

    def exploit(self, target: Agent, steps: int, seed: int = 0) -> tuple[SequencePolicy, NDArray[np.float64]]:
        """Trains a best response to `target` for `steps` steps, from scratch; returns it and its scores against it.

        Its mean score above one half is a lower bound of how exploitable the target is.
        """
        arena = Arena(self.games, (self.games.num_games,), self.config.longest)
        arena.seat(0, target, seed)
        rival = SequencePPO(self._policy, GymVecEnv(arena), self._ppo, seed=seed + 1, **self._settings)
        rival.learn(steps)
        scores, _ = play(self.games, NetworkAgent(rival.policy, reuse_memory=True), [target], 2, seed + 2)
        return rival.policy, scores[0]

    def solve(self) -> bool:
        """Lets members that have not met play each other, and works out the mixture that none beats, if it is wanted.

        Returns:
            Whether games were played; those of the learner have to begin anew then.
        """
        if not self.config.equilibrium:
            return False
        players = {name: self.player(name) for name in self.population.with_weights}
        present = {name: player for name, player in players.items() if player is not None}
        played = self._payoffs.complete(self.games, present, self.config.rounds, self.seed + 2)
        names = list(present)
        self._mixture = names, nash_mixture(self._payoffs.table(names)) if names else np.zeros(0)
        return played

    def sample(self) -> str | None:
        """Samples who plays next; None is the learner as it is."""
        config, random = self.config, self._generator
        anchors, past = list(self._anchors), self.population.with_weights
        if not past or (anchors and random.random() < config.anchors):
            return self._by_priority(anchors) if anchors else None
        if random.random() < config.uniform:
            return str(random.choice(past[int(config.delta * (len(past) - 1)) :]))
        names, weights = self._mixture
        if names and random.random() < config.equilibrium:
            return str(random.choice(names, p=weights))
        return self._by_priority(past)

    def _by_priority(self, names: list[str]) -> str:
        """Samples the more often, the more the learner loses: by the square of that share."""
        losing = np.array([(1 - self.population.scores[name].share) ** 2 + LEAST_PRIORITY for name in names])
        return str(self._generator.choice(names, p=losing / losing.sum()))

    def fill(self, block: int, name: str | None) -> None:
        """Lets a member, or the learner as it is, play a block."""
        player = _sampling(self.learner.policy) if name is None else self.player(name)
        while player is None:  # it was damaged, and is out now
            name = self.sample()
            player = _sampling(self.learner.policy) if name is None else self.player(name)
        self._seated[block] = name
        self.arena.seat(block, player, int(self._generator.integers(2**31)))

    def count(self) -> None:
        """Counts the games that ended since the last call."""
        for result in self.arena.take_results():
            name = self._seated[result.block]
            if name is not None:
                self.population.count(name, result.score, FORGETTING)


class _Keeper(BaseCallback):
    """Between rollouts: counts games, changes opponents one block at a time, and ends when a member is due."""

    def __init__(self, league: League, member: int) -> None:
        super().__init__()
        self._league, self._member, self._rollouts = league, member, 0
        self._waiting: set[int] = set()  # blocks whose opponents leave when their games are over

    def _on_rollout_start(self) -> None:
        league = self._league
        league.count()
        self._rollouts += 1
        blocks = range(1 if league.config.latest else 0, len(league.arena.blocks))
        self._waiting |= {b for b in blocks if (self._rollouts + b) % league.config.resample_interval == 0}
        due = [block for block in sorted(self._waiting) if league.arena.finished[league.arena.blocks[block]].all()]
        self._waiting -= {*due}
        for block in due:
            league.fill(block, league.sample())
        if self._rollouts == 1:
            due = list(range(len(league.arena.blocks)))
        if due:
            self._restart(due)

    def _on_rollout_end(self) -> None:
        if self._league.learner.num_timesteps >= self._member:
            self._league.learner.stop()

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


def _sampling(policy: SequencePolicy) -> NetworkAgent:
    """A policy that acts as it learned to."""
    return NetworkAgent(policy, deterministic=False, reuse_memory=True)


def block_sizes(games: int, config: LeagueConfig) -> tuple[int, ...]:
    """How many games each opponent plays, even numbers: first the learner as it is, then each opponent.

    Raises:
        OptionError: there are too few games for so many opponents.
    """
    latest = round(config.latest * games / 2) * 2
    share = (games - latest) // config.concurrent_opponents // 2 * 2
    if games % 2 or share < 2:
        raise OptionError(f"{games} games are too few, or odd, for {config.concurrent_opponents} opponents at once")
    first = games - share * config.concurrent_opponents
    return (
        (first, *[share] * config.concurrent_opponents)
        if config.latest
        else (share + first, *[share] * (config.concurrent_opponents - 1))
    )
