"""Demonstrations: what somebody did, and was shown, episode by episode; to be kept on disk, and imitated.

Shape suffixes are written out: S steps of all episodes on end, E episodes, T steps of the longest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from embodied.agent import Agent, Carry, belief_of
from embodied.errors import CheckpointError, OptionError
from embodied.evaluation.loop import Decision, Observer, play
from embodied.files import checked
from embodied.learn.rollout import Rollout
from embodied.nn.checkpoint import check_spaces, describe_space, load_json, load_tensors, save_json, save_tensors
from embodied.nn.policy import SequencePolicy
from embodied.spaces import Codec
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import Experience, GymVecEnv

FORMAT = 1
STEPS, CARD = "steps.safetensors", "demonstrations.json"


AXES = {"obs": 2, "first": 1, "reward": 1, "shaping": 1}  # how many what is always there has


class _Card(msgspec.Struct):
    format: int
    success: list[bool]
    observation_space: dict[str, Any]
    action_space: dict[str, Any]


@dataclass(frozen=True)
class Demonstrations:
    """Episodes, one after another.

    Attributes:
        card: of what environment, with which spaces.
        steps: by name, over all S steps: `obs (S, F)` as rows of numbers, `action (S, …)` as the environment takes it,
            `first (S,)`, `reward (S,)`, `shaping (S,)` the potential before the step, and, as far as the environment
            tells, `state (S, …)` and `hidden (S, k)`; where the demonstrator was disturbed, `intended (S, …)`, what it
            meant to do; where it believes anything, `belief (S, K)` of the first hidden variable.
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
        save_tensors(folder / STEPS, {name: torch.as_tensor(np.array(array)) for name, array in self.steps.items()})
        save_json(folder / CARD, {"format": FORMAT, **self.card, "success": self.success.tolist()})

    @classmethod
    def load(cls, folder: Path) -> Demonstrations:
        """Reads what `save` wrote.

        Raises:
            CheckpointError: files are missing or damaged, do not fit each other, or hold numbers that are none.
        """
        card, tensors = load_json(folder / CARD), load_tensors(folder / STEPS)
        steps = {name: (t.float() if t.dtype is torch.bfloat16 else t).numpy() for name, t in tensors.items()}
        saved = checked(card, _Card, f"{folder} holds no demonstrations of this version", CheckpointError)
        success = np.array(saved.success, bool)
        if saved.format != FORMAT or {*AXES, "action"} - steps.keys():
            raise CheckpointError(f"{folder} holds no demonstrations of this version")
        odd = [name for name, array in steps.items() if array.ndim != AXES.get(name, max(array.ndim, 1))]
        if odd:
            raise CheckpointError(f"{folder / STEPS}: {', '.join(odd)} are of another shape")
        first = steps["first"]
        counts = {len(array) for array in steps.values()}
        if len(counts) != 1 or not len(first) or first.dtype != bool or not first[0] or first.sum() != len(success):
            raise CheckpointError(f"{folder / STEPS} and {CARD} there do not fit each other: is one damaged?")
        wrong = [name for name, array in steps.items() if not np.isfinite(array).all()]
        if wrong:
            raise CheckpointError(f"{folder / STEPS} holds numbers that are none, in {', '.join(wrong)}")
        rest = {name: value for name, value in card.items() if name not in ("success", "format")}
        return cls(rest, steps, success)

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

        The value of a step is what the demonstrator earned from there to the end, discounted, less the potential.

        Args:
            policy: who is to imitate.
            gamma: the discount.
            state, hidden: how many privileged numbers its critic and its belief take.

        Where there are none of these, as on a robot that somebody led by hand, only the actor learns.

        Raises:
            CheckpointError: the demonstrations hold another number of them.
        """
        sizes = {"state": state, "hidden": hidden}
        blind = not self.steps.keys() & sizes.keys()
        for name, size in sizes.items():
            has = self.steps[name].shape[1] if name in self.steps else 0
            if size and has != size and not blind:
                raise CheckpointError(f"these demonstrations hold {has} numbers of the {name}, not {size}")
        begins = np.flatnonzero(self.steps["first"])
        lengths = np.diff([*begins, len(self.steps["first"])])
        episode = np.repeat(np.arange(len(self)), lengths)
        place = np.arange(len(episode)) - begins[episode]
        width, size = self.steps["obs"].shape[1], policy.action_head.size
        rollout = Rollout.empty(len(self), int(lengths.max()), width, size, state, hidden, 0, policy.device)
        rollout.imitation_coef, rollout.imitation_only = 1.0, True
        rollout.actor_only = blind and (state + hidden > 0 or not self.steps["reward"].any())
        rollout.ignore[:] = True
        privileged = [] if blind else [name for name, size in sizes.items() if size]
        values = self._values(policy, privileged)
        potential = torch.zeros_like(rollout.reward)
        for name, value in values.items():
            if getattr(rollout, name, None) is None:  # what only an expert says
                setattr(rollout, name, torch.zeros(*rollout.reward.shape, *value.shape[1:], device=policy.device))
            target = getattr(rollout, name)
            target[episode, place] = torch.as_tensor(value, device=target.device).to(target.dtype)
        potential[episode, place] = torch.as_tensor(self.steps["shaping"], device=potential.device)
        rollout.estimate_advantages(rollout.reward, potential.new_zeros(len(self)), gamma, 1.0)
        rollout.returns -= potential
        rollout.first[:, 0] = True
        nothing = policy.memories.snapshot(policy.initial(1))
        rollout.memory = policy.memories.rows(nothing, torch.zeros(len(self), dtype=torch.long, device=policy.device))
        return rollout

    def _values(self, policy: SequencePolicy, privileged: list[str]) -> dict[str, Any]:
        """What a rollout holds of all S steps, by name."""
        steps, from_env = self.steps, policy.action_head.from_env
        last = np.append(steps["first"][1:], True)
        values = {
            "obs": steps["obs"],
            "action": from_env(steps["action"]),
            "expert_action": from_env(steps.get("intended", steps["action"])),
            "reward": steps["reward"],
            "terminated": last,
            "ignore": np.zeros_like(last),
        } | {name: steps[name] for name in privileged}
        if "belief" in steps and "hidden" in privileged and steps["belief"].shape[1] == policy.belief_layout.values:
            values["expert_belief"] = steps["belief"]
        return values


def collect_demonstrations(
    agent: Agent,
    env: GymVecEnv,
    episodes: int,
    seed: int = 0,
    ended: Callable[[int], bool] | None = None,
    noise: float = 0.0,
) -> Demonstrations:
    """Lets an agent act, and keeps every step of at least `episodes` episodes, equally many in every world.

    Args:
        agent: who demonstrates; it may know more than it is shown.
        env: where.
        episodes: how many; those whose physics failed do not count.
        seed: of worlds and agent.
        ended: called with the number of finished episodes; False ends it with those.
        noise: standard deviation of noise on its actions in every other world, in half ranges of the Box, from which it
            recovers; what it meant to do is kept, too (DART; Laskey et al. 2017).

    Raises:
        OptionError: there are no episodes to keep, or noise is negative or on choices.
    """
    space = env.action_space
    if noise < 0 or (noise and not isinstance(space, spaces.Box)):
        raise OptionError(f"noise is at least 0, and on actions of a Box, not {noise} on {space}")
    if episodes < 1:
        raise OptionError(f"demonstrations need at least 1 episode, not {episodes}")
    disturbed = Disturbed(agent, space, noise, seed) if noise and isinstance(space, spaces.Box) else None
    steps = _Steps(env, ended or (lambda count: True), disturbed or agent)
    for _ in play(disturbed or agent, env, seed, [steps], -(-episodes // env.num_envs)):
        if steps.stopped:
            break
    return _demonstrations(env, steps.history, steps.kept, steps.success)


class Disturbed:
    """An agent whose actions are disturbed in every other world.

    Attributes:
        intended: the actions that it meant to take last, `(n, …)`.
    """

    def __init__(self, agent: Agent, space: spaces.Box, noise: float, seed: int) -> None:
        self._agent, self._space = agent, space
        self._spread = noise * (space.high.astype(np.float64) - space.low) / 2
        self._rng = np.random.default_rng(seed)
        self.intended: NDArray = np.zeros(0)

    def initial(self, n: int, seed: int) -> Carry:
        """Returns the carry of the agent itself."""
        return self._agent.initial(n, seed)

    def act(self, carry: Carry, obs: Any, first: NDArray) -> tuple[Carry, NDArray]:
        """Acts as the agent does, but for the noise, within the Box."""
        carry, self.intended = self._agent.act(carry, obs, first)
        noise = self._spread * self._rng.standard_normal(self.intended.shape)
        noise[::2] = 0
        return carry, np.clip(self.intended + noise, self._space.low, self._space.high).astype(self._space.dtype)

    def belief(self, carry: Carry) -> NDArray | None:
        """What the agent believes, if it does."""
        return belief_of(self._agent, carry)


class _Steps(Observer):
    """Every step of all worlds, and where in them episodes lie: world, first step, and the step after the last."""

    def __init__(self, env: GymVecEnv, ended: Callable[[int], bool], agent: Agent) -> None:
        self._ended, self.stopped, self._agent = ended, False, agent
        self._codec, self._began = Codec(env.observation_space), np.zeros(env.num_envs, int)
        self.history: list[dict[str, NDArray]] = []
        self.kept: list[tuple[int, int, int]] = []
        self.success: list[bool] = []

    def on_decision(self, decision: Decision) -> None:
        self._began[decision.first] = len(self.history)
        privileged = {"shaping": np.zeros(len(decision.first), np.float32)} | decision.privileged
        now = privileged | {"obs": self._codec.rows(decision.obs), "action": decision.action}
        if isinstance(self._agent, Disturbed):
            now["intended"] = self._agent.intended
        if (belief := belief_of(self._agent, decision.carry)) is not None:
            now["belief"] = np.asarray(belief, np.float32)
        self.history.append({name: np.array(array) for name, array in now.items()})

    def on_step(self, decision: Decision, experience: Experience) -> None:
        self.history[-1]["reward"] = np.array(experience.reward)

    def on_end(self, worlds: NDArray[np.intp], decision: Decision, experience: Experience) -> None:
        for world in worlds.tolist():
            if self.stopped:
                return
            self.kept.append((world, int(self._began[world]), len(self.history)))
            self.success.append(experience.success is not None and bool(experience.success[world]))
            self.stopped = not self._ended(len(self.kept))


def _demonstrations(
    env: GymVecEnv, history: list[dict[str, NDArray]], kept: list[tuple[int, int, int]], success: list[bool]
) -> Demonstrations:
    """Cuts episodes out of what happened in all worlds, step by step."""
    steps = {
        name: np.stack([history[t][name][i] for i, start, stop in kept for t in range(start, stop)])
        for name in history[0]
    }
    steps["first"] = np.array([t == start for _, start, stop in kept for t in range(start, stop)])
    card = {
        "env": EnvSpec.of(env).jsonable(),
        "observation_space": describe_space(env.observation_space),
        "action_space": describe_space(env.action_space),
    }
    return Demonstrations(card, steps, np.array(success))
