"""A policy that sees a sequence: features by a core with memory; heads for action, value and belief.

Shape suffixes: N environments, B environments of a minibatch, T steps, F features, K values of the hidden
variable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor, nn
from torch.distributions import Distribution

from embodied.errors import CheckpointError, OptionError
from embodied.learn.checkpoint import build_space, describe_space, load_weights, read_card, save_policy
from embodied.learn.heads import ReturnScale, action_head


class Core(nn.Module, ABC):
    """A network with memory that reads one step at a time, or many at once with the same result."""

    features: int

    @abstractmethod
    def initial(self, n: int) -> Any:
        """Returns the empty memory of `n` environments."""

    @abstractmethod
    def step(self, x_NF: Tensor, first_N: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """Reads one step; where `first`, the memory is emptied before. Returns features and the new memory."""

    @abstractmethod
    def sequence(self, x_BTF: Tensor, first_BT: Tensor, memory: Any) -> Tensor:
        """Reads T steps that follow `memory` (which gets no gradient); returns features `(B, T, features)`."""

    @abstractmethod
    def snapshot(self, memory: Any) -> Any:
        """Returns a copy that later steps leave alone, as small as it can be."""

    @abstractmethod
    def clone(self, memory: Any) -> Any:
        """Returns a copy to go on from; `step` may write into the memory that it is given."""

    @abstractmethod
    def rows(self, memory: Any, index: Tensor) -> Any:
        """Returns the memory of some environments."""


@dataclass
class Reading:
    """What a policy makes of observations; leading axes as given."""

    actions: Distribution
    value: Tensor | None  # (…,), None with a privileged critic
    belief_logits: Tensor | None  # (…, K)


@dataclass(frozen=True)
class Privilege:
    """What a privileged critic and a belief head are told about during training.

    Attributes:
        state: size of the privileged state; 0 without one.
        hidden: number of values of each hidden variable, 0 for a continuous one; the belief head predicts the
            first, if it is discrete.
    """

    state: int = 0
    hidden: tuple[int, ...] = ()


class SequencePolicy(BasePolicy):
    """Encoder, core and heads, in the shape that Stable-Baselines3's algorithms expect.

    Args:
        critic_width: width of the privileged critic, used where `privilege.state` > 0.
    """

    obs_offset: Tensor
    obs_scale: Tensor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        core: Core,
        privilege: Privilege = Privilege(),
        critic_width: int = 128,
    ) -> None:
        super().__init__(observation_space, action_space)
        if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 1:
            raise OptionError(f"observations must be a flat Box, not {observation_space}")
        self.privilege = privilege
        self.core = core
        width = core.features
        self.encoder = nn.Linear(observation_space.shape[0], width)
        self.action_head = action_head(width, action_space)
        self.belief_head = nn.Linear(width, privilege.hidden[0]) if any(privilege.hidden[:1]) else None
        self.value_head = None if privilege.state else nn.Linear(width, 1)
        self.critic = _critic(privilege, critic_width) if privilege.state else None
        self.return_scale = ReturnScale()
        offset, scale = _normaliser(observation_space)
        self.register_buffer("obs_offset", offset, persistent=False)
        self.register_buffer("obs_scale", scale, persistent=False)

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The keyword arguments that build this network again."""

    def card(self) -> dict[str, Any]:
        """Everything but the weights, as JSON."""
        return {
            "policy": type(self).__name__,
            "settings": self.settings(),
            "privilege": asdict(self.privilege),
            "observation_space": describe_space(self.observation_space),
            "action_space": describe_space(self.action_space),
        }

    def save(self, path: str | Path) -> None:
        """Writes weights (safetensors) and card (JSON) into the folder `path`."""
        save_policy(Path(path), self, self.card())

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> SequencePolicy:
        """See `load_policy`; nothing that is loaded can run code."""
        return load_policy(Path(path), device)

    def initial(self, n: int) -> Any:
        """Returns the empty memory of `n` environments."""
        return self.core.initial(n)

    def step(self, obs_NF: Tensor, first_N: Tensor, memory: Any) -> tuple[Reading, Any]:
        """Reads one observation per environment while acting."""
        features, memory = self.core.step(self._encode(obs_NF), first_N, memory)
        return self._read(features), memory

    def sequence(self, obs_BTF: Tensor, first_BT: Tensor, memory: Any) -> Reading:
        """Reads T observations per environment while training, from the memory before them."""
        return self._read(self.core.sequence(self._encode(obs_BTF), first_BT, memory))

    def judge(self, state: Tensor, hidden: Tensor) -> Tensor:
        """The privileged critic's value of states `(…, state)` and hidden variables `(…, k)`, `(…,)`."""
        assert self.critic is not None
        return self.return_scale.to_value(self.critic(torch.cat([state, hidden * 2 - 1], dim=-1)).squeeze(-1))

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Stable-Baselines3's interface: `state` is the memory that the last call returned, None at first."""
        obs = np.asarray(observation, np.float32)
        single = obs.ndim == 1
        obs = obs[None] if single else obs
        memory = self.initial(len(obs)) if state is None else state
        first = np.zeros(len(obs), bool) if episode_start is None else np.atleast_1d(episode_start)
        with torch.inference_mode():
            reading, memory = self.step(self._tensor(obs), self._tensor(first, torch.bool), memory)
            action = self.choose(reading, deterministic)
        actions = self.action_head.to_env(action)
        return (actions[0] if single else actions), memory

    def choose(self, reading: Reading, deterministic: bool, generator: torch.Generator | None = None) -> Tensor:
        """Returns an action per environment: the most likely, or a sample."""
        if deterministic:
            return self.action_head.mode(reading.actions)
        return self.action_head.sample(reading.actions, generator)

    def belief(self, reading: Reading) -> Tensor | None:
        """Returns the probabilities of the hidden variable, `(…, K)`, or None without a belief head."""
        return None if reading.belief_logits is None else reading.belief_logits.softmax(-1)

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        first = torch.ones(len(observation), dtype=torch.bool, device=observation.device)
        reading, _ = self.step(observation.float(), first, self.initial(len(observation)))
        return self.choose(reading, deterministic)

    def _read(self, features: Tensor) -> Reading:
        return Reading(
            actions=self.action_head(features),
            value=None
            if self.value_head is None
            else self.return_scale.to_value(self.value_head(features).squeeze(-1)),
            belief_logits=None if self.belief_head is None else self.belief_head(features),
        )

    def _encode(self, obs: Tensor) -> Tensor:
        return self.encoder((obs - self.obs_offset) * self.obs_scale)

    def _tensor(self, array: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.as_tensor(array, dtype=dtype, device=self.device)


def load_policy(folder: Path, device: torch.device | str = "cpu") -> SequencePolicy:
    """Builds a saved policy again; its class must have been imported.

    Raises:
        CheckpointError: the folder holds no intact policy, or one of an unknown class.
    """
    card = read_card(folder)
    known = {cls.__name__: cls for cls in _subclasses(SequencePolicy)}
    if card.get("policy") not in known:
        raise CheckpointError(
            f"{folder} holds a policy of class {card.get('policy')!r}; imported are: "
            f"{', '.join(sorted(known)) or 'none'} (import embodied_policies, or the package that defines it)"
        )
    try:
        policy = known[card["policy"]](
            build_space(card["observation_space"]),
            build_space(card["action_space"]),
            privilege=Privilege(int(card["privilege"]["state"]), tuple(map(int, card["privilege"]["hidden"]))),
            **card["settings"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the card in {folder} does not describe a policy: {error}") from error
    load_weights(folder, policy)
    return policy.to(device).eval()


def _subclasses(cls: type) -> list[type]:
    direct: list[type] = cls.__subclasses__()
    return direct + [sub for child in direct for sub in _subclasses(child)]


def _critic(privilege: Privilege, width: int) -> nn.Sequential:
    size = privilege.state + len(privilege.hidden)
    return nn.Sequential(nn.Linear(size, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))


def _normaliser(space: spaces.Box) -> tuple[Tensor, Tensor]:
    """Offset and scale that bring bounded channels into [-1, 1] and leave unbounded ones alone."""
    bounded = np.isfinite(space.low) & np.isfinite(space.high) & (space.high - space.low < 1e6)
    bounded &= space.high > space.low
    low, high = np.where(bounded, space.low, -1.0), np.where(bounded, space.high, 1.0)
    offset = torch.as_tensor((low + high) / 2, dtype=torch.float32)
    return offset, torch.as_tensor(2 / (high - low), dtype=torch.float32)
