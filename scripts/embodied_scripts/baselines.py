"""The baselines of each task: uninformed, heuristic and oracle."""

from __future__ import annotations

from typing import Any

from embodied.agent import Agent
from embodied.evaluation.agents import RandomAgent, RowsAgent
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import read_card
from embodied.nn.policy import load_policy
from embodied.selfplay.agents import SeatedAgent
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv
from embodied.world.observation import DictObservation
from embodied_policies.trained import trained_folder
from embodied_scripts.planning import planning_agent as planning_agent
from embodied_scripts.planning import pose_filter as pose_filter
from embodied_scripts.players import OPTION_TASKS as OPTION_TASKS
from embodied_scripts.players import PLAYERS
from embodied_scripts.players import arm_driver as arm_driver
from embodied_scripts.players import option_agent as option_agent


def baselines(env: GymVecEnv) -> dict[str, Agent]:
    """Returns random, uninformed (the best without information), heuristic (gathers it) and oracle (knows the truth).

    For an environment without scripted players, only random; so too for an arm whose actions are no velocities.
    """
    players: dict[str, Agent] = {"random": RandomAgent(env.action_space)}
    about = EnvSpec.of(env)
    make = PLAYERS.get(about.id)
    if make is None or about.options.get("action", "velocities") != "velocities":
        return players
    player, truth = make(env.gym_env.task)  # type: ignore[attr-defined]
    hidden = lambda: truth(env.privileged["hidden"])  # noqa: E731
    made: dict[str, Agent] = {
        "uninformed": player(),
        "heuristic": player(heuristic=True),
        "oracle": player(truth=hidden),
    }
    form = getattr(env.gym_env, "form", None)
    if isinstance(form, DictObservation):
        made = {name: RowsAgent(one, form.rows) for name, one in made.items()}
    return players | made


def duel_players(env_id: str, duel: Any) -> dict[str, tuple[Agent, Agent]]:
    """Returns the players of a duel, the best first: trained where the package has such, scripted, random."""
    scripted = (duel.task.scripted(duel.seats[0]), duel.task.scripted(duel.seats[1]))
    random = RandomAgent(duel.seats[0].action_space)
    players = {"scripted": scripted, "random": (random, random)}
    folder = trained_folder(env_id.split("/")[-1])
    if folder is None:
        return players
    policy = load_policy(folder)
    return {"trained": (SeatedAgent(policy, 0), SeatedAgent(policy, 1))} | players


def trained_player(env_id: str, env: GymVecEnv) -> dict[str, Agent]:
    """The policy that comes with the package for an environment, if there is one that sees, does and seeks the same."""
    folder = trained_folder(env_id.split("/")[-1])
    if folder is None:
        return {}
    own, other = (made.gym_env for made in (EnvSpec.from_jsonable(read_card(folder)["env"], folder).make(1), env))
    same = all(getattr(own, name) == getattr(other, name) for name in ("layout", "action_layout", "hidden"))
    policy = load_policy(folder)
    return {"trained": NetworkAgent(policy)} if same and policy.observation_space == env.observation_space else {}
