"""The memory that training holds."""

from __future__ import annotations

from dataclasses import fields

from torch import Tensor

from embodied.learn.collect import RolloutCollector


def footprint(model: RolloutCollector) -> dict[str, int]:
    """The memory that training holds between updates [bytes]: but for a replay it is taken at the start.

    `rollout` is what is written down of it, `memory` what the policy remembers, twice (as it acts, and as it did when
    the rollout began), `network` weights, gradients and the two moments of Adam. While a minibatch is learned from,
    activations come on top. `replay` is what a learner keeps of older rollouts in the end.
    """
    policy = model.policy
    rollout = [getattr(model.rollout_buffer, f.name) for f in fields(model.rollout_buffer)]  # type: ignore[arg-type]
    held = [*policy.parameters(), *model.own_tensors().values()]
    learned = [p for group in policy.optimizer.param_groups for p in group["params"] if p.requires_grad]
    return {
        "rollout": sum(_size(tensor) for tensor in rollout if isinstance(tensor, Tensor)),
        "memory": 2 * model.memory_bytes * model.n_envs,
        "replay": model.replay_bytes,
        "network": sum(map(_size, held)) + 3 * sum(map(_size, learned)),
    }


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
