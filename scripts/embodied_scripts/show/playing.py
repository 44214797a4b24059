"""Who plays, and everything that can be shown of what they decide: for viewers, films and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent, belief_of
from embodied.errors import OptionError, UnknownNameError
from embodied.evaluation import loop
from embodied.mind.belief import DiscreteFilter
from embodied.nn.checkpoint import policy_folder, read_card
from embodied.nn.policy import load_policy
from embodied.selfplay.agents import SeatedAgent
from embodied.vector.batches import row_of
from embodied.vector.previous_action import without_previous
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import Experience, GymVecEnv, make_vec
from embodied.world.duel import Versus
from embodied_scripts.baselines import baselines, duel_players, trained_player
from embodied_scripts.ids import parse_options, resolve_id
from embodied_scripts.leagues import saved_league
from embodied_scripts.runs import runs_in, saved_agent


def cast(target: str, player: str | None, given: tuple[str, ...], worlds: int = 1) -> tuple[Agent, GymVecEnv, str]:
    """Returns the player, its environment, and a title.

    Args:
        target: folder of a run or of a league, or an environment.
        player: who plays in an environment; None for the best there is.
        given: options of the environment, as name=value; for a run, in place of its own.
        worlds: how many the environment has.

    Raises:
        OptionError: an environment of somebody else, which cannot be shown; or a player for a run, which has its own.
        UnknownNameError: there is no such environment or player.
    """
    agent, env, title = cast_anywhere(target, player, given, worlds)
    if not hasattr(env.gym_env, "task"):
        raise OptionError(f"{title}: only this toolkit's own environments can be shown")
    return agent, env, title


def cast_anywhere(
    target: str, player: str | None, given: tuple[str, ...], worlds: int = 1
) -> tuple[Agent, GymVecEnv, str]:
    """The same in any environment."""
    options = parse_options(given)
    if Path(target).is_dir() and player is not None:
        raise OptionError(f"{target} plays itself: leave out --player")
    if (Path(target) / "population").is_dir():
        return _cast_league(Path(target), worlds, options)
    if Path(target).is_dir():
        run = runs_in(Path(target))[0]
        folder = policy_folder(run)
        spec = EnvSpec.from_jsonable(read_card(folder).get("env"), run)
        spec = replace(spec, options={**spec.options, **options})
        env = spec.make(worlds)
        return saved_agent(folder, env), env, f"{spec.id}: {run.name}"
    env_id = resolve_id(target)
    env = GymVecEnv(make_vec(env_id, worlds, **options))
    if isinstance(env.gym_env.unwrapped, Versus):
        return _cast_duel(env_id, player, options, worlds)
    players = trained_player(env_id, env) | baselines(env)
    player = player or next(name for name in ("trained", "oracle", "random") if name in players)
    if player not in players:
        raise UnknownNameError("player", player, players)
    return players[player], env, f"{env_id}: {player}"


def _cast_duel(env_id: str, player: str | None, options: dict[str, Any], worlds: int) -> tuple[Agent, GymVecEnv, str]:
    """The same kind of player in both seats of a duel: trained, scripted or random."""
    scripted = GymVecEnv(make_vec(env_id, 1, **options))
    players = duel_players(env_id, scripted.gym_env.duel)  # type: ignore[attr-defined]
    player = player or next(iter(players))
    if player not in players:
        raise UnknownNameError("player", player, players)
    first, second = players[player]
    return first, GymVecEnv(make_vec(env_id, worlds, opponent=second, **options)), f"{env_id}: {player}"


def _cast_league(folder: Path, worlds: int, options: dict[str, Any]) -> tuple[Agent, GymVecEnv, str]:
    """A league's learner in both seats."""
    league = saved_league(folder)
    if "." in league.id:
        raise OptionError(f"{league.id}: only this toolkit's own environments can be shown")
    policy = load_policy(folder / "policy")
    opponent = SeatedAgent(policy, 1)
    own = parse_options(league.options) | options
    env = GymVecEnv(make_vec(resolve_id(league.id), worlds, opponent=opponent, **own))
    return SeatedAgent(policy, 0), env, f"{league.id}: {folder}"


def outcome_of(env: GymVecEnv, experience: Experience, total: float, world: int = 0) -> str:
    """How the episode of a world ended: success, a draw or failure."""
    if experience.success is not None and bool(experience.success[world]):
        return "success"
    return "a draw" if isinstance(env.gym_env.unwrapped, Versus) and total == 0 else "failure"


def labels_of(hidden: Any) -> tuple[str, ...]:
    """The values of a hidden choice; none of a quantity."""
    return getattr(hidden, "labels", ())


def truth_of(world: Any, values: Any) -> str:
    """What is hidden, in words."""
    lines = [
        f"{h.name} is {labels_of(h)[int(v)] if labels_of(h) else f'{v:.2f} {h.unit}'}"
        for h, v in zip(world.hidden, values, strict=True)
    ]
    return ", ".join(lines)


@dataclass
class Decision:
    """Everything that can be shown of one decision."""

    time_s: float
    first: bool
    obs: Any
    action: Any
    belief: Any
    exact_belief: Any
    total: float
    informative: bool  # whether the observation changes the exact posterior


class HistoryFilter:
    """What an exact filter makes of the history of one world; nothing where what is hidden is no choice."""

    def __init__(self, choice: Any) -> None:
        self._filter = DiscreteFilter(choice, 1) if labels_of(choice) else None

    def see(self, evidence: Any, first: bool) -> tuple[Any, bool]:
        """Updates with log-likelihoods `(1, k)`, or None; returns the posterior `(k,)`, if any, and if it changed."""
        if evidence is None:
            return None, False
        informative = bool(np.ptp(evidence[0]) > 0)
        if self._filter is None:
            return None, informative
        if first:
            self._filter.begin(np.ones(1, bool))
        self._filter.update(evidence)
        return self._filter.probabilities[0], informative


def decisions(
    agent: Agent, env: GymVecEnv, seed: int, ended: Callable[[Experience, float], None]
) -> Iterator[Decision]:
    """Plays on and on in the one world of `env`, yielding every decision before it is carried out."""
    world: Any = env.gym_env
    history_filter, ending = HistoryFilter(world.hidden[0]), _Ending(ended)
    for decision in loop.play(agent, env, seed, [ending]):
        first = bool(decision.first[0])
        posterior, informative = history_filter.see(world.log_likelihood(without_previous(decision.obs)), first)
        belief = belief_of(agent, decision.carry)
        yield Decision(
            time_s=decision.index / world.task.control_hz,
            first=first,
            obs=row_of(decision.obs, 0),
            action=decision.action[0],
            belief=None if belief is None else belief[0],
            exact_belief=posterior,
            total=0.0 if first else ending.total,
            informative=informative,
        )


class _Ending(loop.Observer):
    """Adds up the reward of an episode, and says when it has ended."""

    def __init__(self, ended: Callable[[Experience, float], None]) -> None:
        self._ended, self.total = ended, 0.0

    def on_step(self, decision: loop.Decision, experience: Experience) -> None:
        self.total = (0.0 if decision.first[0] else self.total) + float(experience.reward[0])

    def on_end(self, worlds: NDArray[np.intp], decision: loop.Decision, experience: Experience) -> None:
        self._ended(experience, self.total)
