"""A policy that sees a sequence: features by a core with memory; heads for action, value and belief.

Shape suffixes: N environments, B environments of a minibatch, T steps, F features, K values of the hidden
variable.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor, nn

from embodied.errors import OptionError
from embodied.lineage.trust import Trust, verify
from embodied.nn.belief_head import BeliefHeadLayout
from embodied.nn.checkpoint import describe_space, policy_folder, save_policy
from embodied.nn.core import Core
from embodied.nn.encoder import Encoder
from embodied.nn.heads import ForwardModel, ReturnNormalizer, StateDependentHead, action_head, critic_head, value_head
from embodied.nn.loading import class_named, load_network
from embodied.nn.memories import ActionInput, ActionMemories, Remembered
from embodied.nn.normalization import RunningMeanStd
from embodied.nn.output import Introspection, PolicyOutput
from embodied.nn.privilege import NOTHING
from embodied.nn.privilege import Privilege as Privilege
from embodied.nn.squashed import SquashedHead, squashed_head
from embodied.spaces import Codec, mask_of

SCALE = "encoder.running."  # names of how observations are normalized


class SequencePolicy(BasePolicy):
    """Encoder, core and heads, in the shape that Stable-Baselines3's algorithms expect.

    A subclass names its core: `core_type`, built from a `config_type` (a frozen dataclass).

    Args:
        lr_schedule: what Stable-Baselines3 passes; the optimizer is the trainer's.
        use_sde: explore with noise that depends on the state (Box actions only).
        squash: let actions come from a squashed Gaussian, as soft actor-critic wants them (Box actions only).
        forward_model: have a head that predicts the next observation from features and action.
        predict_state: have a head that predicts the privileged state from features, to learn by.
        normalize: bring measurements to zero mean and unit spread, as `observe` comes to know them.
        initial_std: what continuous actions are explored with at first, in half ranges of the Box.
        masked: some choices are forbidden at times, so that it never acts without being told which.
        previous_action: remember what was done a step before, and read it with the observation, if the core has a
            memory: what one sees tells little of how it came about without what one did.
        plain_critic: let a privileged critic read hidden variables as plain numbers, as older versions did, in place of
            indicators, shares of ranges, sines and cosines.
        config: fields of `config_type`.
    """

    config_type: ClassVar[type]
    core_type: ClassVar[type]

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Any = None,
        use_sde: bool = False,
        squash: bool = False,
        privilege: Privilege = NOTHING,
        forward_model: bool = False,
        predict_state: bool = False,
        normalize: bool = False,
        initial_std: float = 0.5,
        masked: bool = False,
        previous_action: bool = True,
        plain_critic: bool = False,
        **config: Any,
    ) -> None:
        super().__init__(observation_space, action_space)
        self.masked = masked
        self.codec = Codec(observation_space)
        self.privilege = privilege
        self.config = self.config_type(**config)
        self.core: Core = self.core_type(self.config)
        width = self.core.features
        self.normalize = normalize
        self.encoder = Encoder(self.codec, width, normalize)
        self.action_head = (
            squashed_head(width, action_space, initial_std)
            if squash
            else action_head(width, action_space, use_sde, initial_std)
        )
        self.previous_action = self._action_input() if previous_action and self.core.has_memory else None
        self.belief_layout = BeliefHeadLayout(privilege.hidden)
        self.belief_head = nn.Linear(width, self.belief_layout.size) if privilege.hidden else None
        self.value_head = None if privilege.state else value_head(width)
        self.plain_critic = plain_critic
        read = privilege.state + len(privilege.hidden) if plain_critic else privilege.critic_size
        self.critic = critic_head(read, normalize) if privilege.state else None
        self.forward_model_head = ForwardModel(width, self.action_head.size, self.codec.size) if forward_model else None
        self.state_head = nn.Linear(width, privilege.state) if predict_state else None
        self.return_normalizer = ReturnNormalizer()
        self.half_precision = False  # whether encoder and core calculate in bfloat16; heads and losses never do

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that build this core again."""
        return asdict(self.config)

    def extras(self) -> dict[str, Any]:
        """What every policy can be built with, beside its own settings."""
        return {
            "use_sde": isinstance(self.action_head, StateDependentHead),
            "squash": isinstance(self.action_head, SquashedHead),
            "forward_model": self.forward_model_head is not None,
            "predict_state": self.state_head is not None,
            "normalize": self.normalize,
            "masked": self.masked,
            "previous_action": self.previous_action is not None,
            "plain_critic": self.plain_critic,
        }

    def card(self) -> dict[str, Any]:
        """Everything but the weights, as JSON."""
        return {
            "policy": type(self).__name__,
            "settings": self.settings() | self.extras(),
            "privilege": asdict(self.privilege),
            "observation_space": describe_space(self.observation_space),
            "action_space": describe_space(self.action_space),
        }

    def save(self, path: str | Path) -> None:
        """Writes weights (safetensors) and card (JSON) into the folder `path`."""
        save_policy(Path(path), self, self.card())

    def load_matching_weights(self, other: SequencePolicy) -> None:
        """Takes over the weights of another policy wherever name and shape agree; the rest stays as it is.

        Raises:
            OptionError: it was made for other observations or actions, or is of another architecture.
        """
        if (other.observation_space, other.action_space) != (self.observation_space, self.action_space):
            raise OptionError("a policy can go on only from one with the same observations and actions")
        if other.extras()["squash"] != self.extras()["squash"]:
            raise OptionError("actions of SequenceSAC are squashed, others are not: neither goes on from the other")
        mine, theirs = self.state_dict(), other.state_dict()
        fits = {name: t for name, t in theirs.items() if name in mine and mine[name].shape == t.shape}
        both = sorted({*mine, *theirs})
        known = [name for name in both if name.startswith(("core.", "encoder.")) and name not in fits]
        lost = [name for name in known if not name.startswith(SCALE)]  # a scale begins anew where there was none
        if lost:
            raise OptionError(f"a {type(self).__name__} of another size cannot be gone on from: {lost[0]} differs")
        self.load_state_dict(fits, strict=False)
        if self.previous_action is not None and other.previous_action is None:  # so that it acts as that one at first
            nn.init.zeros_(self.previous_action.weight)

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> SequencePolicy:
        """See `load_policy`; nothing that is loaded can run code."""
        return load_policy(Path(path), device)

    def initial(self, n: int) -> Any:
        """Returns the empty memory of `n` environments."""
        return self.memories.initial(n)

    @property
    def memories(self) -> Core | ActionMemories:
        """How memories are made, copied and split."""
        return self.core if self.previous_action is None else ActionMemories(self.core, self.action_head.input_size)

    def step(
        self, rows_NF: Tensor, first_N: Tensor, memory: Any, mask_NA: Tensor | None = None
    ) -> tuple[PolicyOutput, Any]:
        """Reads one observation per environment while acting; `mask` tells which choices are allowed.

        What is then done is to be noted (`note_action`) before the next step.
        """
        with self._precision():
            x = self.encoder(rows_NF)
            if self.previous_action is None:
                features, memory = self.core.step(x, first_N, memory)
            else:
                x = x + self.previous_action.at_step(first_N, memory)
                features, core = self.core.step(x, first_N, memory.core)
                memory = Remembered(core, memory.action)
        return self._read(features.float(), mask_NA), memory

    def note_action(self, memory: Any, action: Tensor) -> None:
        """Remembers what was done after a step, `(N, size)` as the action head has it."""
        if self.previous_action is not None:
            memory.action = self.action_head.as_input(action)

    def sequence(
        self,
        rows_BTF: Tensor,
        first_BT: Tensor,
        memory: Any,
        mask_BTA: Tensor | None = None,
        action_BTA: Tensor | None = None,
    ) -> PolicyOutput:
        """Reads T observations per environment while training, from the memory before them.

        Args:
            action_BTA: what was done at each step; may be left out of a single step, or where it is not remembered.
        """
        with self._precision():
            x_BTF, core = self._with_actions(self.encoder(rows_BTF), first_BT, memory, action_BTA)
            features = self.core.sequence(x_BTF, first_BT, core)
        return self._read(features.float(), mask_BTA)

    def _with_actions(
        self, x_BTF: Tensor, first_BT: Tensor, memory: Any, action_BTA: Tensor | None
    ) -> tuple[Tensor, Any]:
        """Encoded observations with what was done before each, and the core's part of a memory."""
        if self.previous_action is None:
            return x_BTF, memory
        done = None if action_BTA is None else self.action_head.as_input(action_BTA)
        return x_BTF + self.previous_action.in_sequence(first_BT, memory, done), memory.core

    def _action_input(self) -> ActionInput:
        return ActionInput(self.action_head.input_size, self.encoder.features, self.codec.size)

    def introspect(self, observations: Any, first: np.ndarray | None = None) -> Introspection:
        """Reads T observations of one world and returns what it made of them (see `Introspection`)."""
        rows = self.codec.rows(observations)
        starts = np.arange(len(rows)) == 0 if first is None else np.asarray(first, bool)
        with torch.inference_mode():
            rows_BTF, first_BT = self._tensor(rows)[None], self._tensor(starts, torch.bool)[None]
            memory = self.memories.snapshot(self.initial(1))
            x, core = self._with_actions(self.encoder(rows_BTF), first_BT, memory, self._retraced(rows_BTF, first_BT))
            output = self._read(self.core.sequence(x, first_BT, core))
            inside = {name: value.cpu().numpy() for name, value in self.core.introspect(x, first_BT).items()}
        belief = self.belief(output)
        return Introspection(
            action_mean=self.action_head.to_env(self.action_head.mode(output.actions)[0]),
            belief=None if belief is None else belief[0].cpu().numpy(),
            value=None if output.value is None else output.value[0].cpu().numpy(),
            inside=inside,
        )

    def _retraced(self, rows_BTF: Tensor, first_BT: Tensor) -> Tensor | None:
        """The most likely actions after each observation of one world, `(1, T, size)`; None if nobody reads them."""
        if self.previous_action is None:
            return None
        memory, actions = self.initial(1), []
        for row, first in zip(rows_BTF[0], first_BT[0], strict=True):
            output, memory = self.step(row[None], first[None], memory)
            actions.append(self.action_head.mode(output.actions))
            self.note_action(memory, actions[-1])
        return torch.stack(actions, dim=1)

    def evaluate_value(self, state: Tensor, hidden: Tensor) -> Tensor:
        """The privileged critic's value of states `(…, state)` and hidden variables `(…, k)`, `(…,)`."""
        assert self.critic is not None
        return self.return_normalizer.to_value(self.critic(self._critic_input(state, hidden)).squeeze(-1))

    def update_normalizer(self, rows: Tensor, state: Tensor, hidden: Tensor) -> None:
        """Takes note of how observations `(n, F)` and what the critic sees are spread, if they are normalized."""
        self.encoder.update_normalizer(rows)
        if self.critic is not None and isinstance(self.critic[0], RunningMeanStd):
            self.critic[0].update(self._critic_input(state, hidden))

    def value_of(self, output: PolicyOutput, state: Tensor, hidden: Tensor) -> Tensor:
        """The value that goes with a output: its own, or with a privileged critic what that judges."""
        return self.evaluate_value(state, hidden) if output.value is None else output.value

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Stable-Baselines3's interface: `state` is the memory that the last call returned, None at first.

        `action_masks` tells which choices are allowed, as in sb3-contrib; those in an observation count by themselves.

        Raises:
            OptionError: some choices were forbidden when it learned, and nobody tells which are now.
        """
        observation, single = self.codec.batched(observation)
        rows = self.codec.rows(observation)
        mask = self.mask_for(observation, action_masks, len(rows))
        memory = self.initial(len(rows)) if state is None else self.memories.clone(state)
        first = np.zeros(len(rows), bool) if episode_start is None else np.atleast_1d(episode_start)
        with torch.inference_mode():
            output, memory = self.step(self._tensor(rows), self._tensor(first, torch.bool), memory, mask)
            action = self.choose(output, deterministic)
            self.note_action(memory, action)
        actions = self.action_head.to_env(action)
        return (actions[0] if single else actions), memory

    def mask_for(self, observation: Any, given: Any, n: int) -> Tensor | None:
        """Which choices are allowed in `n` environments, as told, or else as observations tell, `(n, places)`.

        Raises:
            OptionError: it learned with masks and there is none, or it is of another size.
        """
        mask, places = mask_of(observation) if given is None else given, self.action_head.mask_size
        if mask is None:
            if self.masked:
                raise OptionError(
                    "this policy learned where some choices were forbidden, and nobody tells which are now: give "
                    "action_masks to predict (sb3_contrib's evaluate_policy does), or use embodied.evaluation.evaluate"
                )
            return None
        rows = np.asarray(mask).reshape(n, -1)
        if rows.shape[1] != places:
            raise OptionError(f"a mask of {rows.shape[1]} choices, where this policy has {places}")
        return self._tensor(rows, torch.bool)

    def choose(
        self,
        output: PolicyOutput,
        deterministic: bool,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Returns an action per environment: the most likely, a sample, or what lasting `noise` makes of it."""
        if deterministic:
            return self.action_head.mode(output.actions)
        if noise is not None and isinstance(self.action_head, StateDependentHead):
            return self.action_head.explore(output.actions, output.features, noise)
        return self.action_head.sample(output.actions, generator)

    def belief(self, output: PolicyOutput) -> Tensor | None:
        """Returns the probabilities of the first hidden variable, `(…, K)`; None if it is not discrete or not known."""
        return None if output.belief is None else self.belief_layout.probabilities(output.belief)

    def _critic_input(self, state: Tensor, hidden: Tensor) -> Tensor:
        if self.plain_critic:
            return torch.cat([state, hidden * 2 - 1], dim=-1)
        return self.privilege.critic_input(state, hidden)

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        rows = self._tensor(self.codec.rows(observation))
        first = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
        output, _ = self.step(rows, first, self.initial(len(rows)))
        return self.choose(output, deterministic)

    def _read(self, features: Tensor, mask: Tensor | None = None) -> PolicyOutput:
        return PolicyOutput(
            features=features,
            actions=self.action_head(features, mask),
            value=None
            if self.value_head is None
            else self.return_normalizer.to_value(self.value_head(features).squeeze(-1)),
            belief=None if self.belief_head is None else self.belief_head(features),
        )

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half_precision)

    def _tensor(self, array: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.as_tensor(array, dtype=dtype, device=self.device)


def load_policy(
    path: str | Path, device: torch.device | str = "cpu", trust: str | Path | Trust | None = None
) -> SequencePolicy:
    """Builds a saved policy again; its class is imported, or provided by an installed package (see `policy_class`).

    Args:
        path: the folder of the policy, or of a run.
        device: where it acts.
        trust: by whom it must be signed: a trust file (see `embodied.lineage.Trust`); None asks for no signature.

    Raises:
        CheckpointError: the folder holds no intact policy, or one of an unknown class.
        LineageError: it is not signed by whom it must be, is not what they signed, is too old, or was revoked.
    """
    if trust is not None:
        verify(policy_folder(path), trust)
    policy: SequencePolicy = load_network(path, device, policy_class)
    return policy


def policy_class(name: str) -> type[SequencePolicy]:
    """Returns the policy class of that name: one that was imported, or that an installed package provides.

    A package provides policies through entry points of the group `embodied.policies`.

    Raises:
        UnknownNameError: there is none; the message lists those there are.
    """
    found: type[SequencePolicy] = class_named(name, SequencePolicy, "embodied.policies")
    return found
