"""Who plays, and everything that can be shown of what they decide: for viewers, films and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embodied.errors import OptionError, UnknownNameError

if TYPE_CHECKING:
    from embodied.agent import Agent
    from embodied.learn.vec import Experience, GymVecEnv


def cast(target: str, player: str | None, given: tuple[str, ...], worlds: int = 1) -> tuple[Agent, GymVecEnv, str]:
    """Returns the player, its environment, and a title.

    Args:
        target: folder of a run or of a league, or an environment.
        player: who plays in an environment; None for the best there is.
        given: options of the environment, as name=value.
        worlds: how many the environment has.

    Raises:
        OptionError: an environment of somebody else, which cannot be shown.
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
    from embodied.learn.agents import NetworkAgent
    from embodied.learn.vec import GymVecEnv, make_vec
    from embodied_scripts.evaluate import load_runs, runs_in
    from embodied_scripts.names import parse_options, resolve_id
    from embodied_scripts.players import reference_players

    if (Path(target) / "pool").is_dir():
        return _cast_league(Path(target), worlds)
    if Path(target).is_dir():
        policies, env_card = load_runs(runs_in(Path(target))[:1])
        name, policy = next(iter(policies.items()))
        env = GymVecEnv(make_vec(env_card["id"], worlds, **env_card["options"]))
        if policy.observation_space != env.observation_space:
            raise OptionError(f"{name} observes more than its environment tells (--recall): such runs cannot be shown")
        return NetworkAgent(policy), env, f"{env_card['id']}: {name}"
    env_id = resolve_id(target)
    options = parse_options(given)
    env = GymVecEnv(make_vec(env_id, worlds, **options))
    if hasattr(env.gym_env, "duel"):
        return _cast_duel(env_id, player, options, worlds)
    players = reference_players(env)
    player = player or ("oracle" if "oracle" in players else "random")
    if player not in players:
        raise UnknownNameError("player", player, players)
    return players[player], env, f"{env_id}: {player}"


def _cast_duel(env_id: str, player: str | None, options: dict[str, Any], worlds: int) -> tuple[Agent, GymVecEnv, str]:
    """The same kind of player in both seats of a duel: trained, scripted or random."""
    from embodied.learn.vec import GymVecEnv, make_vec
    from embodied_scripts.players import duel_players

    scripted = GymVecEnv(make_vec(env_id, 1, **options))
    players = duel_players(env_id, scripted.gym_env.duel)  # type: ignore[attr-defined]
    player = player or next(iter(players))
    if player not in players:
        raise UnknownNameError("player", player, players)
    first, second = players[player]
    return first, GymVecEnv(make_vec(env_id, worlds, opponent=second, **options)), f"{env_id}: {player}"


def _cast_league(folder: Path, worlds: int) -> tuple[Agent, GymVecEnv, str]:
    """A league's learner in both seats."""
    import embodied_policies
    from embodied.learn.opponents import SeatedAgent
    from embodied.learn.policy import load_policy
    from embodied.learn.vec import GymVecEnv, make_vec
    from embodied_scripts.league import saved_league
    from embodied_scripts.names import parse_options, resolve_id

    league = saved_league(folder)
    if "." in league.id:
        raise OptionError(f"{league.id}: only this toolkit's own environments can be shown")
    embodied_policies.register()
    policy = load_policy(folder / "policy")
    opponent = SeatedAgent(policy, 1)
    env = GymVecEnv(make_vec(resolve_id(league.id), worlds, opponent=opponent, **parse_options(league.options)))
    return SeatedAgent(policy, 0), env, f"{league.id}: {folder}"


def outcome_of(env: GymVecEnv, experience: Experience, total: float, world: int = 0) -> str:
    """How the episode of a world ended: success, a draw or failure."""
    if experience.success is not None and bool(experience.success[world]):
        return "success"
    return "a draw" if hasattr(env.gym_env, "duel") and total == 0 else "failure"


def labels_of(hidden: Any) -> tuple[str, ...]:
    """The values of a hidden choice; none of a quantity."""
    return getattr(hidden, "labels", ())


def truth_of(world: Any, values: Any) -> str:
    """What is hidden, in words."""
    told = [
        f"{h.name} is {labels_of(h)[int(v)] if labels_of(h) else f'{v:.2f} {h.unit}'}"
        for h, v in zip(world.hidden, values, strict=True)
    ]
    return ", ".join(told)


@dataclass
class Decision:
    """Everything that can be shown of one decision."""

    time_s: float
    first: bool
    obs: Any
    action: Any
    belief: Any
    observer: Any
    total: float
    told: bool  # whether what was seen says something of what is hidden


class Observer:
    """What an exact filter makes of the history of one world; nothing where what is hidden is no choice."""

    def __init__(self, choice: Any) -> None:
        from embodied.mind.belief import DiscreteFilter

        self._filter = DiscreteFilter(choice, 1) if labels_of(choice) else None

    def see(self, evidence: Any, first: bool) -> tuple[Any, bool]:
        """Takes in log-likelihoods `(1, k)`, or None; returns the posterior `(k,)`, if any, and whether they told."""
        import numpy as np

        if evidence is None:
            return None, False
        told = bool(np.ptp(evidence[0]) > 0)
        if self._filter is None:
            return None, told
        if first:
            self._filter.begin(np.ones(1, bool))
        self._filter.update(evidence)
        return self._filter.probabilities[0], told


def decisions(
    agent: Agent, env: GymVecEnv, seed: int, ended: Callable[[Experience, float], None]
) -> Iterator[Decision]:
    """Plays on and on in the one world of `env`, yielding every decision before it is carried out."""
    import numpy as np

    from embodied.learn.vec import step

    world: Any = env.gym_env
    observer = Observer(world.hidden[0])
    env.seed(seed)
    obs, first, clock, total = env.reset(), np.ones(1, bool), 0.0, 0.0
    carry = agent.initial(1, seed)
    while True:
        posterior, told = observer.see(world.log_likelihood(obs), bool(first[0]))
        carry, action = agent.act(carry, obs, first)
        belief = getattr(agent, "belief", lambda _: None)(carry)
        own = None if belief is None else belief[0]
        yield Decision(clock, bool(first[0]), obs[0], action[0], own, posterior, total, told)
        experience, _ = step(env, action)
        total += float(experience.reward[0])
        clock += 1 / world.task.control_hz
        obs, first = experience.obs, experience.ended
        if first[0]:
            ended(experience, total)
            total = 0.0
