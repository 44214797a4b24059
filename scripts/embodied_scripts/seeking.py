"""`embodied league seek`: what a trained seeker finds out about the other, and what is left without gaze or memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from embodied.errors import OptionError

if TYPE_CHECKING:
    from embodied.agent import Agent
    from embodied.body.robot import Robot
    from embodied.learn.policy import SequencePolicy
    from embodied.learn.vec import GymVecEnv

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


@dataclass
class SeekLeague:
    """Let the first seat of a duel play the scripted player of the second: as it learned to, with its head held ahead,
    and forgetting everything at every step."""

    run_dir: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of a league of HideSeek (default: the policy that comes with this package)."""
    games: int = 512
    """Games of each, at least."""
    seed: int = 40_000
    """Of the worlds, the same for each."""

    def run(self) -> None:
        """Plays and prints the table."""
        from embodied.learn.opponents import SeatedAgent
        from embodied_policies.controls import FixedGaze, Forgetful
        from embodied_scripts.rows import mean_and_error, print_table

        if self.games < 2:
            raise OptionError("two games at least")
        policy, env = cast(self.run_dir, min(WORLDS, self.games))
        seeker = SeatedAgent(policy, 0)
        names = [actuator.name for actuator in _robot(env).actuators]
        players: dict[str, Agent] = {
            "as trained": seeker,
            "fixed gaze": FixedGaze(seeker, names.index(PAN), 0.0),
            "no memory": Forgetful(seeker),
        }
        lines = []
        for name, player in players.items():
            found = seek(player, policy, env, self.games, self.seed)
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


def cast(league: Path | None, worlds: int, **options: Any) -> tuple[SequencePolicy, GymVecEnv]:
    """The newest policy of a league of HideSeek, or the one that comes with this package, and worlds of its kind.

    Raises:
        CheckpointError: there is no such league, or it is one of another game.
    """
    import embodied_envs  # noqa: F401  (registers the ids)
    import embodied_policies
    from embodied.learn.checkpoint import check_spaces
    from embodied.learn.opponents import seated_space
    from embodied.learn.policy import load_policy
    from embodied.learn.vec import GymVecEnv, make_vec
    from embodied_policies.trained import trained_folder
    from embodied_scripts.league import saved_league
    from embodied_scripts.names import parse_options

    embodied_policies.register()
    folder = trained_folder("HideSeek-v0") if league is None else league / "policy"
    assert folder is not None
    own = {} if league is None else parse_options(saved_league(league).options)
    env = GymVecEnv(make_vec("embodied/HideSeek-v0", worlds, **(own | options)))
    policy = load_policy(folder)
    check_spaces(policy.card(), seated_space(env.observation_space), env.action_space, "HideSeek-v0")  # type: ignore[arg-type]
    return policy, env


def seek(player: Agent, policy: SequencePolicy, env: GymVecEnv, games: int, seed: int) -> Seeking:
    """Plays games, equally many in every world, and measures what is found out in them by `policy` that plays."""
    from embodied.learn.vec import step

    n = env.num_envs
    per_world = -(-games // n)
    world: Any = env.gym_env.unwrapped
    robot, hz = _robot(env), world.task.control_hz
    env.seed(seed)
    obs, first, carry = env.reset(), np.ones(n, bool), player.initial(n, seed)
    steps, seen, bits, done = np.zeros(n), np.full(n, np.inf), np.zeros(n), np.zeros(n, int)
    kept: list[tuple[bool, float, float]] = []
    while (done < per_world).any():
        seen = np.where(recognises(robot, obs) & np.isinf(seen), steps / hz, seen)
        carry, action = player.act(carry, obs, first)
        bits += bits_believed(policy, carry, env.privileged["hidden"])
        steps += 1
        experience, _ = step(env, action)
        obs, first = experience.obs, experience.ended
        assert experience.success is not None
        for world in np.flatnonzero(first & (done < per_world)):
            kept.append((bool(experience.success[world]), float(seen[world]), float(bits[world] / steps[world])))
        done += first
        steps[first], seen[first], bits[first] = 0, np.inf, 0
    won, when, believed = (np.array(column) for column in zip(*kept, strict=True))
    return Seeking(won, when, believed)


def _robot(env: GymVecEnv) -> Robot:
    """The body of the first seat."""
    task: Any = env.gym_env.unwrapped.task  # type: ignore[attr-defined]
    return next(iter(task.robots.values()))


def recognises(robot: Robot, obs: NDArray) -> NDArray[np.bool_]:
    """Whether the camera of a robot shows what it has a label for, in observations `(n, dim)`, `(n,)`."""
    camera = robot.cameras[0]
    labelled = camera.classes.index(next(iter(camera.labels.values())))
    pixels = obs[:, robot.layout.slice(f"{camera.name}/class")].reshape(len(obs), -1, len(camera.classes))
    return np.any(pixels[..., labelled] > 0, axis=1)


def bits_believed(policy: SequencePolicy, carry: Any, hidden: NDArray) -> NDArray[np.float64]:
    """Bits that a network's belief holds about the hidden variables `(n, k)`, against their priors, `(n,)`."""
    import torch

    told = torch.as_tensor(hidden, dtype=torch.float32)
    nats = policy.belief_form.log_density(carry.reading.belief, told).sum(-1)
    return (nats / np.log(2)).numpy().astype(np.float64)
