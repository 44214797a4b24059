"""Trained policies as experts of one: a router decides, step by step, how much of each is followed.

Shape suffixes: N or B environments, T steps, F features, E experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from embodied.errors import OptionError
from embodied.nn.core import Core
from embodied.nn.encoder import Encoder
from embodied.nn.policy import SequencePolicy, policy_class
from embodied.spaces import Codec


@dataclass(frozen=True)
class MixtureConfig:
    """Who the experts are.

    Attributes:
        members: for each expert the name of its class, `policy`, its `settings`, and whether it `normalize`.
        frozen: leave the experts as they are and learn only the router and the heads.
    """

    members: tuple[dict[str, Any], ...]
    frozen: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))
        if len(self.members) < 2:
            raise OptionError(f"a mixture needs at least 2 experts, not {len(self.members)}")


class MixtureCore(Core):
    """Reads with every expert; its features are theirs, weighted by the router's shares, and the shares themselves."""

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__()
        cores = [_core(member) for member in config.members]
        self.experts = nn.ModuleList(cores)
        self.widths = [core.features for core in cores]
        self.features = sum(self.widths) + len(cores)
        self.router = nn.Linear(sum(self.widths), len(cores))
        nn.init.zeros_(self.router.weight)
        nn.init.zeros_(self.router.bias)
        self.frozen = config.frozen
        self.experts.requires_grad_(not config.frozen)

    @property
    def _experts(self) -> list[Core]:
        return cast("list[Core]", list(self.experts))

    def initial(self, n: int) -> list[Any]:
        return [core.initial(n) for core in self._experts]

    def step(self, x_NF: Tensor, first_N: Tensor, memory: list[Any]) -> tuple[Tensor, list[Any]]:
        parts = x_NF.split(self.widths, dim=-1)
        read = [c.step(x, first_N, m) for c, x, m in zip(self._experts, parts, memory, strict=True)]
        return self._mix([features for features, _ in read]), [after for _, after in read]

    def sequence(self, x_BTF: Tensor, first_BT: Tensor, memory: list[Any]) -> Tensor:
        parts = x_BTF.split(self.widths, dim=-1)
        return self._mix([c.sequence(x, first_BT, m) for c, x, m in zip(self._experts, parts, memory, strict=True)])

    def snapshot(self, memory: list[Any]) -> list[Any]:
        return [core.snapshot(part) for core, part in zip(self._experts, memory, strict=True)]

    def clone(self, memory: list[Any]) -> list[Any]:
        return [core.clone(part) for core, part in zip(self._experts, memory, strict=True)]

    def rows(self, memory: list[Any], index: Tensor) -> list[Any]:
        return [core.rows(part, index) for core, part in zip(self._experts, memory, strict=True)]

    def put(self, memory: list[Any], index: Tensor, part: list[Any]) -> None:
        for core, whole, some in zip(self._experts, memory, part, strict=True):
            core.put(whole, index, some)

    def tensors(self, memory: list[Any]) -> dict[str, Tensor]:
        return {
            f"expert{i}/{name}": tensor
            for i, (core, part) in enumerate(zip(self._experts, memory, strict=True))
            for name, tensor in core.tensors(part).items()
        }

    def pure_step(self, x_NF: Tensor, first_N: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        left, features, after = list(memory), [], []
        for core, x in zip(self._experts, x_NF.split(self.widths, dim=-1), strict=True):
            mine = len(core.tensors(core.initial(1)))
            read, *kept = core.pure_step(x, first_N, *left[:mine])
            features.append(read)
            after += kept
            left = left[mine:]
        return self._mix(features), *after

    def regularizer(self) -> Tensor | None:
        """What the experts add to the loss, if they are learning."""
        if self.frozen:
            return None
        terms = [term for term in (core.regularizer() for core in self._experts) if term is not None]
        return torch.stack(terms).sum() if terms else None

    def introspect(self, x_BTF: Tensor, first_BT: Tensor) -> dict[str, Tensor]:
        """The router's shares `(1, T, E)` as `routing`, and what goes on inside each expert as `expertI/…`."""
        inside: dict[str, Tensor] = {}
        for i, (core, x) in enumerate(zip(self._experts, x_BTF.split(self.widths, dim=-1), strict=True)):
            inside |= {f"expert{i}/{name}": value for name, value in core.introspect(x, first_BT).items()}
        return inside | {"routing": self.shares}

    def _mix(self, features: list[Tensor]) -> Tensor:
        self.shares = self.router(torch.cat(features, dim=-1)).softmax(-1)
        weighted = [f * share[..., None] for f, share in zip(features, self.shares.unbind(-1), strict=True)]
        return torch.cat([*weighted, self.shares], dim=-1)


class MixturePolicy(SequencePolicy):
    """A mixture of trained policies, made by `compose`; keyword arguments as in `MixtureConfig`."""

    config_type = MixtureConfig
    core_type = MixtureCore

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        normalizing = [bool(member.get("normalize")) for member in self.config.members]
        self.encoder = _Encoders(self.codec, cast(MixtureCore, self.core).widths, normalizing)
        if self.previous_action is not None:
            self.previous_action = self._action_input()
        self.encoder.requires_grad_(not self.config.frozen)


class _Encoders(Encoder):
    """The experts' own encoders, side by side; how they normalize stays as it was learned."""

    def __init__(self, codec: Codec, widths: list[int], normalizing: list[bool]) -> None:
        super().__init__(codec, 1)
        del self.linear, self.pictures
        self.features = sum(widths)
        self.members = nn.ModuleList(Encoder(codec, *each) for each in zip(widths, normalizing, strict=True))

    def forward(self, rows: Tensor) -> Tensor:
        return torch.cat([encoder(rows) for encoder in self.members], dim=-1)


def compose(policies: Sequence[SequencePolicy], frozen: bool = True) -> MixturePolicy:
    """Joins policies that were trained apart, for the same observations and actions, into one.

    The mixture's actions (means, or logits) are at first the plain average of theirs; with a share of one it acts
    as that expert does. Train it by passing it to `SequencePPO` as its policy.

    Raises:
        OptionError: fewer than two, of different spaces, explored with state-dependent noise, or squashed.
    """
    members = tuple(
        {"policy": type(p).__name__, "settings": p.settings(), "normalize": p.extras()["normalize"]} for p in policies
    )
    config = MixtureConfig(members, frozen)
    first = policies[0]
    for policy in policies:
        if (policy.observation_space, policy.action_space) != (first.observation_space, first.action_space):
            raise OptionError("experts of one mixture need the same observations and actions")
        if isinstance(policy, MixturePolicy):
            raise OptionError("a mixture cannot be an expert of another: give its experts")
        if policy.extras()["use_sde"] or policy.extras()["squash"]:
            raise OptionError("an expert with state-dependent noise or squashed actions cannot be part of a mixture")
    mixture = MixturePolicy(
        first.observation_space,
        first.action_space,
        privilege=first.privilege,
        previous_action=any(p.previous_action is not None for p in policies),
        **asdict(config),
    ).to(first.device)
    encoders = cast(_Encoders, mixture.encoder).members
    with torch.no_grad():
        for encoder, core, policy in zip(encoders, cast(MixtureCore, mixture.core).experts, policies, strict=True):
            encoder.load_state_dict(policy.encoder.state_dict())
            core.load_state_dict(policy.core.state_dict())
        if mixture.previous_action is not None:
            mixture.previous_action.weight.copy_(torch.cat([_reading(policy) for policy in policies]))
        _join(mixture.action_head.output, [policy.action_head.output for policy in policies])
        if mixture.belief_head is not None and all(policy.belief_head is not None for policy in policies):
            _join(mixture.belief_head, [cast(nn.Linear, policy.belief_head) for policy in policies])
    return mixture


def _reading(policy: SequencePolicy) -> Tensor:
    """How a policy reads what was done a step before: with zeros if it does not."""
    if policy.previous_action is None:
        return torch.zeros(policy.encoder.features, policy.action_head.input_size, device=policy.device)
    return policy.previous_action.weight


def _join(joint: nn.Linear, parts: list[nn.Linear]) -> None:
    """Lets a layer of the weighted features and the shares say what the experts' layers say, weighted by the shares."""
    biases = torch.stack([part.bias for part in parts], dim=1)
    joint.weight.copy_(torch.cat([*(part.weight for part in parts), biases], dim=1))
    joint.bias.zero_()


def _core(member: dict[str, Any]) -> Core:
    kind = policy_class(member["policy"])
    return kind.core_type(kind.config_type(**member["settings"]))
