"""Policies that were trained apart, made into one by their weights alone.

- average: of all weights ("model soups", Wortsman et al. 2022; federated averaging, McMahan et al. 2017).
- aligned: the average of networks whose units were brought into one order (`embodied.fleet.alignment`).
- task vectors: a common base, and what each has learned since, added up (Ilharco et al. 2023).
- ties: of those differences the largest, where they agree in sign (Yadav et al. 2023).

Policies that normalize observations are brought to common statistics before, exactly; what they do stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn

from embodied.errors import CheckpointError, OptionError
from embodied.fleet.alignment import aligned, permutations_of
from embodied.nn.normalization import RunningMeanStd
from embodied.nn.policy import SequencePolicy

How = Literal["average", "aligned", "task-vectors", "ties"]
KEPT = 0.2  # share of the differences that "ties" keeps of each
Weights = dict[str, Tensor]


def merge(
    policies: Sequence[SequencePolicy],
    how: How,
    base: SequencePolicy | None = None,
    shares: Sequence[float] | None = None,
    scale: float | None = None,
) -> SequencePolicy:
    """One policy made of several of the same architecture.

    Args:
        base: what all of them began with, for task vectors and ties.
        shares: how much each counts; equally, if not said.
        scale: how much of the differences is added to the base: all of them for ties, their mean for task vectors.

    Raises:
        CheckpointError: architectures differ.
        OptionError: fewer than two, shares that do not fit, no base where one is needed, or networks that cannot be
            aligned.
    """
    if len(policies) < 2:
        raise OptionError("it takes at least two policies to merge")
    told = [1.0] * len(policies) if shares is None else [*shares]
    if len(told) != len(policies) or min(told) < 0 or not sum(told) > 0:
        raise OptionError(f"shares {told} are not one for each of {len(policies)} policies, none of them below 0")
    needs_base = how in ("task-vectors", "ties")
    if needs_base and base is None:
        raise OptionError(f"{how} needs a base, from which all of them were trained")
    everyone = [*policies, *([base] if needs_base and base is not None else [])]
    check_alike(everyone)
    common = with_common_statistics(everyone)
    weights = [_weights(one) for one in common]
    members, total = weights[: len(policies)], sum(told)
    parts = [share / total for share in told]
    if how == "aligned":
        kinds = permutations_of(common[0])
        members = [members[0], *(aligned(members[0], other, kinds) for other in members[1:])]
    made = deepcopy(common[0])
    made.load_state_dict(_MERGERS[how](members, parts, weights[-1], scale))
    return made


def check_alike(policies: Sequence[SequencePolicy]) -> None:
    """Refuses policies of which the tensors differ in name or shape.

    Raises:
        CheckpointError: it names the first that does.
    """
    shapes = [{name: tensor.shape for name, tensor in one.state_dict().items()} for one in policies]
    for other in shapes[1:]:
        if other != shapes[0]:
            odd = sorted(name for name in {*shapes[0], *other} if shapes[0].get(name) != other.get(name))
            raise CheckpointError(f"these policies are of different architectures: {', '.join(odd[:3])}")


def with_common_statistics(policies: Sequence[SequencePolicy]) -> list[SequencePolicy]:
    """Copies that normalize what they read alike, and do what they did; as they are where nothing is normalized."""
    copies = [deepcopy(one) for one in policies]
    for readers in zip(*map(_normalized_layers, copies), strict=True):
        mean, variance, count = _joined([running for running, _ in readers])
        for running, layer in readers:
            _restandardize(running, layer, mean, variance)
            running.count.copy_(count)
    return copies


def _average(members: list[Weights], parts: list[float], base: Weights, scale: float | None) -> Weights:
    return _each(members, lambda tensors: _mean(tensors, parts))


def _task_vectors(members: list[Weights], parts: list[float], base: Weights, scale: float | None) -> Weights:
    much = 1.0 if scale is None else scale
    mean = _average(members, parts, base, None)
    return {name: _added(base[name], much * (mean[name] - base[name])) for name in base}


def _ties(members: list[Weights], parts: list[float], base: Weights, scale: float | None) -> Weights:
    much = 1.0 if scale is None else scale
    names = [name for name, tensor in base.items() if tensor.is_floating_point()]
    flat = torch.stack([torch.cat([(one[n] - base[n]).flatten().double() for n in names]) for one in members])
    kept = max(1, int(KEPT * flat.shape[1]))
    least = flat.abs().topk(kept, dim=1).values[:, -1:]
    trimmed = torch.where(flat.abs() >= least, flat, 0.0) * torch.tensor(parts, dtype=flat.dtype)[:, None]
    sign = trimmed.sum(0).sign()
    agree = (trimmed.sign() == sign) & (trimmed != 0)
    weight = (agree * torch.tensor(parts, dtype=flat.dtype)[:, None]).sum(0).clamp(min=1e-12)
    change = torch.where(agree, trimmed, 0.0).sum(0) / weight
    sizes = [base[name].numel() for name in names]
    changes = dict(zip(names, change.split(sizes), strict=True))
    return {
        name: _added(tensor, much * changes[name].view(tensor.shape)) if name in changes else tensor
        for name, tensor in base.items()
    }


_MERGERS: dict[str, Callable[[list[Weights], list[float], Weights, float | None], Weights]] = {
    "average": _average,
    "aligned": _average,
    "task-vectors": _task_vectors,
    "ties": _ties,
}


def _each(members: list[Weights], rule: Callable[[list[Tensor]], Tensor]) -> Weights:
    return {name: rule([one[name] for one in members]) for name in members[0]}


def _mean(tensors: list[Tensor], parts: list[float]) -> Tensor:
    """The weighted mean; of whole numbers and yes or no, the first one's."""
    if not tensors[0].is_floating_point():
        return tensors[0]
    total = sum(part * tensor.double() for part, tensor in zip(parts, tensors, strict=True))
    assert isinstance(total, Tensor)
    return total.to(tensors[0].dtype)


def _added(base: Tensor, change: Tensor) -> Tensor:
    return (base.double() + change.double()).to(base.dtype) if base.is_floating_point() else base


def _weights(policy: SequencePolicy) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in policy.state_dict().items()}


def _normalized_layers(policy: SequencePolicy) -> list[tuple[RunningMeanStd, nn.Linear]]:
    """What is normalized, and the layer that reads it.

    Raises:
        OptionError: pictures stand among it, so that a layer reads a part.
    """
    found = []
    if policy.encoder.running is not None and policy.encoder.linear is not None:
        if len(policy.encoder.pictures):
            raise OptionError("policies that normalize observations among which there are pictures cannot be merged")
        found.append((policy.encoder.running, policy.encoder.linear))
    critic = policy.critic
    if isinstance(critic, nn.Sequential) and isinstance(critic[0], RunningMeanStd):
        assert isinstance(critic[1], nn.Linear)
        found.append((critic[0], critic[1]))
    return found


def _joined(all_of: Sequence[RunningMeanStd]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance and count of all that was seen (Chan, Golub & LeVeque 1979)."""
    counts = torch.stack([one.count for one in all_of])
    total = counts.sum()
    parts = (counts / total if total > 0 else torch.full_like(counts, 1 / len(counts)))[:, None]
    mean = (parts * torch.stack([one.mean for one in all_of])).sum(0)
    spread = torch.stack([one.variance + (one.mean - mean) ** 2 for one in all_of])
    return mean, (parts * spread).sum(0), total


@torch.no_grad()
def _restandardize(running: RunningMeanStd, layer: nn.Linear, mean: Tensor, variance: Tensor) -> None:
    """Gives a normalizer other statistics, and the layer that reads it the weights that make up for it."""
    before, offset = running.scale, running.mean.clone()
    running.mean.copy_(mean)
    running.variance.copy_(variance)
    ratio = before / running.scale
    which = running.standardized
    shift = torch.where(which, (mean - offset) * before, 0.0)
    weight = layer.weight.double()
    layer.bias.copy_((layer.bias.double() + weight @ shift).to(layer.bias.dtype))
    layer.weight.copy_((weight * torch.where(which, ratio, 1.0)).to(layer.weight.dtype))
