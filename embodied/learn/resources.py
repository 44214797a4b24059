"""The memory that training holds."""

from __future__ import annotations

from dataclasses import fields

from torch import Tensor

from embodied.learn.collect import RolloutCollector


def footprint(model: RolloutCollector) -> dict[str, int]:
    """The memory that training holds between updates [bytes]: it is taken at the start and never grows.

    `rollout` is what is written down of it, `memory` what the policy remembers, twice (as it acts, and as it did when
    the rollout began), `network` weights, gradients and the two moments of Adam. While a minibatch is learned from,
    activations come on top.
    """
    policy = model.policy
    rollout = [getattr(model.rollout_buffer, f.name) for f in fields(model.rollout_buffer)]  # type: ignore[arg-type]
    one = sum(_size(tensor) for tensor in policy.memories.tensors(policy.initial(1)).values())
    learned = sum(_size(p) for p in policy.parameters() if p.requires_grad)
    return {
        "rollout": sum(_size(tensor) for tensor in rollout if isinstance(tensor, Tensor)),
        "memory": 2 * one * model.n_envs,
        "network": sum(_size(p) for p in policy.parameters()) + 3 * learned,
    }


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
