"""Distillation of a planner: a network without memory learns what it decides, and what that is worth."""

from __future__ import annotations

import torch
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.nn.policy import SequencePolicy

MINIBATCH = 256


def distill(
    policy: SequencePolicy,
    rows: NDArray,
    choice: NDArray,
    value: NDArray,
    weight: NDArray,
    *,
    updates: int = 3000,
    learning_rate: float = 2e-3,
    value_coef: float = 1.0,
    seed: int = 0,
) -> list[float]:
    """Learns choices by their cross-entropy and values by their squared error.

    Args:
        policy: chooses among alternatives (Discrete), has no memory and a value of its own.
        rows: what it sees, `(n, F)`; choice: what it should choose, `(n,)`; value: what that is worth, `(n,)`.
        weight: how much each counts, `(n,)`; they are drawn that often.
        updates: of minibatches of 256; the learning rate falls to 0.

    Returns:
        The loss of each update.

    Raises:
        OptionError: there is nothing to learn from.
    """
    if not len(rows):
        raise OptionError("there are no decisions to learn from")
    x, y, v, w = (torch.as_tensor(array) for array in (rows, choice, value, weight))
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(policy.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 1 - done / updates)
    policy.set_training_mode(True)
    history = []
    for _ in range(updates):
        pick = torch.multinomial(w.double(), MINIBATCH, replacement=True, generator=generator)
        output = policy.sequence(x[pick, None].float(), torch.ones(len(pick), 1, dtype=torch.bool), policy.initial(0))
        assert output.value is not None
        error = ((output.value[:, 0] - v[pick]) ** 2).mean()
        loss = value_coef * error - output.actions.log_prob(y[pick, None, None]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        history.append(float(loss.detach()))
    policy.set_training_mode(False)
    return history
