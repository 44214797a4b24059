"""How many threads a network acts with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

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
