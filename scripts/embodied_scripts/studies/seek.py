"""What a trained seeker finds out about the other, and what is left without gaze or memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

import embodied_envs  # noqa: F401  (registers the ids)
from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.evaluation.loop import Decision, Observer, run
from embodied.nn.checkpoint import check_spaces
from embodied.nn.policy import SequencePolicy, load_policy
from embodied.robot.robot import Robot
from embodied.selfplay.agents import SeatedAgent, seated_space
from embodied.vector.vec import Experience, GymVecEnv, make_vec
from embodied_policies.controls import FixedGaze, Forgetful
from embodied_policies.trained import trained_folder
from embodied_scripts.cli.study_seeking import SeekLeague
from embodied_scripts.ids import parse_options, resolve_id
from embodied_scripts.leagues import saved_league
from embodied_scripts.studies.results import mean_and_error, print_table

WORLDS = 64


PAN = "pan_servo"


@dataclass
class Seeking:
    """What was found out in G games.

    Attributes:
        won: whether the seeker won, `(G,)`.
        seen_s: when it saw the other first [s], `(G,)`; infinite if it never did.
        bits: about where the other is, in its own belief, on average over a game, `(G,)`; NaN without a belief.
    """

    won: NDArray[np.bool_]
    seen_s: NDArray[np.float64]
    bits: NDArray[np.float64]


def measure_seeking(asked: SeekLeague) -> None:
    """Plays and prints the table."""
    if asked.games < 2:
        raise OptionError("two games at least")
    policy, env = cast(asked.run_dir, min(WORLDS, asked.games), asked.game)
    seeker = SeatedAgent(policy, 0)
    names = [actuator.name for actuator in _robot(env).actuators]
    players: dict[str, Agent] = {
        "as trained": seeker,
        "fixed gaze": FixedGaze(seeker, names.index(PAN), 0.0),
        "no memory": Forgetful(seeker),
    }
    lines = []
    for name, player in players.items():
        found = seek(player, policy, env, asked.games, asked.seed)
        seen = found.seen_s[np.isfinite(found.seen_s)]
        lines.append([
            name,
            mean_and_error(found.won.astype(float).tolist()),
            f"{np.isfinite(found.seen_s).mean():.0%}",
            mean_and_error(seen.tolist(), ".1f") + " s" if len(seen) > 1 else "–",
            mean_and_error(found.bits.tolist(), ".2f"),
        ])  # fmt: skip
    env.close()
    columns = ("seeker", "won", "saw the other", "first sight after", "bits about its place")
    print_table(f"{len(found.won)} games against the scripted hider, ± standard error", columns, lines)


def cast(league: Path | None, worlds: int, game: str, **options: Any) -> tuple[SequencePolicy, GymVecEnv]:
    """The newest policy of a league of HideSeek, or the one that comes with this package, and worlds of its kind.

    Args:
        game: which HideSeek, without a league.

    Raises:
        CheckpointError: there is no such league, or it is one of another game.
        OptionError: no policy comes with this game.
    """
    begun = None if league is None else saved_league(league)
    name = game if begun is None else begun.id
    folder = trained_folder(name) if league is None else league / "policy"
    if folder is None:
        raise OptionError(f"no policy comes with {name}: give the folder of a league")
    own = {} if begun is None else parse_options(begun.options)
    env = GymVecEnv(make_vec(resolve_id(name), worlds, **(own | options)))
    policy = load_policy(folder)
    check_spaces(policy.card(), seated_space(env.observation_space), env.action_space, name)  # type: ignore[arg-type]
    return policy, env


def seek(player: Agent, policy: SequencePolicy, env: GymVecEnv, games: int, seed: int) -> Seeking:
    """Plays games, equally many in every world, and measures what is found out in them by `policy` that plays."""
    findings = _Findings(policy)
    run(player, env, seed, [findings], -(-games // env.num_envs))
    won, when, believed = (np.array(column) for column in zip(*findings.kept, strict=True))
    return Seeking(won, when, believed)


class _Findings(Observer):
    """Of each game: whether it was won, when the other was seen first [s], and what was believed of its place [bit]."""

    def __init__(self, policy: SequencePolicy) -> None:
        self._policy = policy
        self.kept: list[tuple[bool, float, float]] = []

    def on_start(self, env: VecEnv) -> None:
        self._robot = _robot(env)  # type: ignore[arg-type]
        self._hz = env.gym_env.unwrapped.task.control_hz  # type: ignore[attr-defined]
        n = env.num_envs
        self._steps, self._seen, self._bits = np.zeros(n), np.full(n, np.inf), np.zeros(n)

    def on_decision(self, decision: Decision) -> None:
        first = decision.first
        self._steps[first], self._seen[first], self._bits[first] = 0, np.inf, 0
        fresh = recognizes(self._robot, decision.obs) & np.isinf(self._seen)
        self._seen = np.where(fresh, self._steps / self._hz, self._seen)
        self._bits += bits_believed(self._policy, decision.carry, decision.privileged["hidden"])
        self._steps += 1

    def on_end(self, worlds: NDArray[np.intp], decision: Decision, experience: Experience) -> None:
        assert experience.success is not None
        for i in worlds:
            bits = float(self._bits[i] / self._steps[i])
            self.kept.append((bool(experience.success[i]), float(self._seen[i]), bits))


def _robot(env: GymVecEnv) -> Robot:
    """The body of the first seat."""
    task: Any = env.gym_env.unwrapped.task  # type: ignore[attr-defined]
    return next(iter(task.robots.values()))


def recognizes(robot: Robot, obs: NDArray) -> NDArray[np.bool_]:
    """Whether the camera of a robot shows what it has a label for, in observations `(n, dim)`, `(n,)`."""
    camera = robot.line_cameras[0]
    labeled = camera.classes.index(next(iter(camera.labels.values())))
    pixels = obs[:, robot.layout.slice(f"{camera.name}/class")].reshape(len(obs), -1, len(camera.classes))
    return np.any(pixels[..., labeled] > 0, axis=1)


def bits_believed(policy: SequencePolicy, carry: Any, hidden: NDArray) -> NDArray[np.float64]:
    """Bits that a network's belief holds about the hidden variables `(n, k)`, against their priors, `(n,)`."""
    truth = torch.as_tensor(hidden, dtype=torch.float32)
    nats = policy.belief_layout.log_density(carry.output.belief, truth).sum(-1)
    return (nats / np.log(2)).numpy().astype(np.float64)
