"""What learning takes from the machine: threads and memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from embodied.learn.ppo import SequencePPO

SMALL_WORK = 64e6  # multiplications per step of all environments


@contextmanager
def acting_threads(network: nn.Module, environments: int) -> Iterator[None]:
    """Lets one thread do the network's steps if they are small, and leaves the other cores to the physics.

    Measured on two cores with 128 worlds: a second thread makes a step of a 2 × 64 transformer no faster (3 ms) and the
    physics after it 4 ms slower, since torch's threads wait awake; it saves a 6 × 256 one 20 of 48 ms.
    """
    before = torch.get_num_threads()
    work = environments * sum(p.numel() for p in network.parameters())
    if work < SMALL_WORK:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def footprint(model: SequencePPO) -> dict[str, int]:
    """The memory that training holds between updates [bytes]: it is taken at the start and never grows.

    `rollout` is what is written down of it, `memory` what the policy remembers, twice (as it acts, and as it did when
    the rollout began), `network` weights, gradients and the two moments of Adam. While a minibatch is learned from,
    activations come on top.
    """
    policy = model.policy
    rollout = [getattr(model.rollout_buffer, f.name) for f in fields(model.rollout_buffer)]  # type: ignore[arg-type]
    one = sum(_size(tensor) for tensor in policy.core.tensors(policy.initial(1)).values())
    learned = sum(_size(p) for p in policy.parameters() if p.requires_grad)
    return {
        "rollout": sum(_size(tensor) for tensor in rollout if isinstance(tensor, Tensor)),
        "memory": 2 * one * model.n_envs,
        "network": sum(_size(p) for p in policy.parameters()) + 3 * learned,
    }


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
