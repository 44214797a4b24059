"""Demonstrations: what somebody did, and was shown, episode by episode; to be kept on disk, and imitated.

Shape suffixes are written out: S steps of all episodes on end, E episodes, T steps of the longest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from embodied.agent import Agent
from embodied.errors import CheckpointError, OptionError
from embodied.learn.checkpoint import check_spaces, describe_space, load_json, load_tensors, save_json, save_tensors
from embodied.learn.observations import Codec
from embodied.learn.rollout import Rollout
from embodied.learn.vec import GymVecEnv, describe_env, step

if TYPE_CHECKING:
    from embodied.learn.policy import SequencePolicy

FORMAT = 1
PRIVILEGED = ("state", "hidden")
STEPS, CARD = "steps.safetensors", "demonstrations.json"


@dataclass(frozen=True)
class Demonstrations:
    """Episodes, one after another.

    Attributes:
        card: of what environment, with which spaces.
        steps: by name, over all S steps: `obs (S, F)` as rows of numbers, `action (S, …)` as the environment takes it,
            `first (S,)`, `reward (S,)`, `shaping (S,)` the potential before the step, and, as far as the environment
            tells, `state (S, …)` and `hidden (S, k)`.
        success: of each episode, `(E,)`; false where the environment does not say.
    """

    card: dict[str, Any]
    steps: dict[str, NDArray]
    success: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.success)

    def save(self, folder: Path) -> None:
        """Writes numbers as safetensors and the rest as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(folder / STEPS, {name: torch.as_tensor(array) for name, array in self.steps.items()})
        save_json(folder / CARD, {"format": FORMAT, **self.card, "success": self.success.tolist()})

    @classmethod
    def load(cls, folder: Path) -> Demonstrations:
        """Reads what `save` wrote.

        Raises:
            CheckpointError: files are missing or damaged, do not fit each other, or hold numbers that are none.
        """
        card, tensors = load_json(folder / CARD), load_tensors(folder / STEPS)
        steps = {name: tensor.numpy() for name, tensor in tensors.items()}
        success, format_ = np.array(card.pop("success", []), bool), card.pop("format", None)
        if format_ != FORMAT or {"obs", "action", "first", "reward", "shaping"} - steps.keys():
            raise CheckpointError(f"{folder} holds no demonstrations of this version")
        first = steps["first"]
        counts = {len(array) for array in steps.values()}
        if len(counts) != 1 or not len(first) or first.dtype != bool or not first[0] or first.sum() != len(success):
            raise CheckpointError(f"{folder / STEPS} and {CARD} there do not fit each other: is one damaged?")
        wrong = [name for name, array in steps.items() if not np.isfinite(array).all()]
        if wrong:
            raise CheckpointError(f"{folder / STEPS} holds numbers that are none, in {', '.join(wrong)}")
        return cls(card, steps, success)

    def check(self, policy: SequencePolicy) -> None:
        """Refuses to teach a policy of other observations or actions.

        Raises:
            CheckpointError: they differ, or the steps are not of the spaces that the card names.
        """
        check_spaces(self.card, policy.observation_space, policy.action_space, "what is to be trained")
        obs, action, space = self.steps["obs"], self.steps["action"], policy.action_space
        fits = obs.shape[1:] == (policy.codec.size,) and action.shape[1:] == (space.shape or ())
        if not fits or not (isinstance(space, spaces.Box) or all(space.contains(a) for a in action)):
            raise CheckpointError("these demonstrations hold steps of other spaces than they say: are they damaged?")

    def as_rollout(self, policy: SequencePolicy, gamma: float, state: int, hidden: int) -> Rollout:
        """All episodes side by side, each from an empty memory, to be imitated; what is beyond an end is ignored.

        The value of a step is what the demonstrator earned from there on, discounted, less the potential.

        Args:
            policy: who is to imitate.
            gamma: the discount.
            state, hidden: how many numbers its critic and its belief are told.

        Raises:
            CheckpointError: the demonstrations do not tell so many.
        """
        told = {"state": state, "hidden": hidden}
        for name, wanted in told.items():
            has = self.steps[name].shape[1] if name in self.steps else 0
            if wanted and has != wanted:
                raise CheckpointError(f"these demonstrations tell {has} numbers of the {name}, not {wanted}")
        begins = np.flatnonzero(self.steps["first"])
        lengths = np.diff([*begins, len(self.steps["first"])])
        episode = np.repeat(np.arange(len(self)), lengths)
        place = np.arange(len(episode)) - begins[episode]
        obs, said = torch.as_tensor(self.steps["obs"]), policy.action_head.from_env(self.steps["action"])
        rollout = Rollout.empty(
            len(self), int(lengths.max()), obs.shape[1], policy.action_head.size, state, hidden, 0, policy.device
        )
        rollout.lesson, rollout.imitation, rollout.taught = torch.zeros_like(rollout.action), 1.0, True
        rollout.ignore[:] = True
        earned = _to_go(self.steps["reward"], episode, gamma) - self.steps["shaping"]
        values: dict[str, Any] = {"obs": obs, "lesson": said, "action": said, "returns": earned, "ignore": False}
        values |= {name: self.steps[name] for name, wanted in told.items() if wanted}
        for name, value in values.items():
            target: Tensor = getattr(rollout, name)
            target[episode, place] = torch.as_tensor(value, device=target.device).to(target.dtype)
        rollout.first[:, 0] = True
        rollout.memory = policy.core.snapshot(policy.initial(len(self)))
        return rollout


def record(
    agent: Agent,
    env: GymVecEnv,
    episodes: int,
    seed: int = 0,
    ended: Callable[[int], bool] | None = None,
) -> Demonstrations:
    """Lets an agent play, and writes down every step of at least `episodes` episodes, equally many in every world.

    Args:
        agent: who demonstrates; it may know more than it is shown.
        env: where.
        episodes: how many.
        seed: of worlds and agent.
        ended: called with the number of finished episodes; False ends it with those.

    Raises:
        OptionError: there are no episodes to write down.
    """
    if episodes < 1:
        raise OptionError(f"demonstrations need at least 1 episode, not {episodes}")
    n, codec = env.num_envs, Codec(env.observation_space)
    per_world = -(-episodes // n)
    env.seed(seed)
    obs, first, carry = env.reset(), np.ones(n, bool), agent.initial(n, seed)
    going: list[list[dict[str, Any]]] = [[] for _ in range(n)]
    kept: list[list[dict[str, Any]]] = []
    success: list[bool] = []
    finished = np.zeros(n, int)
    while (finished < per_world).any():
        told = {name: env.privileged[name] for name in PRIVILEGED if name in env.privileged}
        shaping = env.privileged.get("shaping", np.zeros(n, np.float32))
        rows = codec.rows(obs)
        if hasattr(agent, "allowed"):
            agent.allowed = env.mask
        carry, action = agent.act(carry, obs, first)
        experience, _ = step(env, action)
        for i in np.flatnonzero(~experience.ignore).tolist():
            now = {"obs": rows[i], "action": action[i], "first": not going[i], "shaping": shaping[i]}
            going[i].append(now | {"reward": experience.reward[i]} | {name: array[i] for name, array in told.items()})
        for i in np.flatnonzero(experience.ended).tolist():
            if finished[i] < per_world and not experience.ignore[i]:
                kept.append(going[i])
                success.append(experience.success is not None and bool(experience.success[i]))
                finished[i] += 1
                if ended is not None and not ended(len(kept)):
                    return _demonstrations(env, kept, success)
            going[i] = []
        obs, first = experience.obs, experience.ended | experience.ignore
    return _demonstrations(env, kept, success)


def _demonstrations(env: GymVecEnv, kept: list[list[dict[str, Any]]], success: list[bool]) -> Demonstrations:
    every = [now for episode in kept for now in episode]
    steps = {name: np.stack([np.asarray(now[name]) for now in every]) for name in every[0]}
    card = {
        "env": describe_env(env),
        "observation_space": describe_space(env.observation_space),
        "action_space": describe_space(env.action_space),
    }
    return Demonstrations(card, steps, np.array(success))


def _to_go(reward: NDArray, episode: NDArray[np.intp], gamma: float) -> NDArray[np.float32]:
    """Discounted sum of rewards from each step to the end of its episode, `(S,)`."""
    total = np.zeros(len(reward) + 1)
    for t in reversed(range(len(reward))):
        goes_on = t + 1 < len(reward) and episode[t + 1] == episode[t]
        total[t] = reward[t] + gamma * total[t + 1] * goes_on
    return total[:-1].astype(np.float32)
