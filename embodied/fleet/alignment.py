"""Networks that were trained apart, brought into one order of units before they are averaged.

Weight matching (Ainsworth, Hayase & Srinivasa 2023): each kind of unit in turn is put into the order in which its
numbers are most like those of the first network, until nothing moves any more.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from embodied.errors import OptionError
from embodied.nn.heads import StateDependentHead
from embodied.nn.permutations import Permutation, Place
from embodied.nn.policy import SequencePolicy

HEADS = ("action_head", "value_head", "belief_head", "state_head")
ROUNDS = 100


def permutations_of(policy: SequencePolicy) -> tuple[Permutation, ...]:
    """The units of a policy that can change places without a change of what it does.

    Raises:
        OptionError: its core cannot say, or it has a forward model, whose inputs are mixed.
    """
    found = policy.core.permutations()
    if found is None or policy.forward_model_head is not None:
        kind = type(policy).__name__
        raise OptionError(
            f"nobody knows which units of this {kind} can change places: plain transformers can be aligned"
        )
    places, inside = found
    core = Permutation(policy.core.features, places).under("core.")
    stream = Permutation(core.units, (*core.places, *_written(policy), *_read(policy)))
    return stream, *(one.under("core.") for one in inside)


def aligned(
    reference: dict[str, Tensor], weights: dict[str, Tensor], permutations: tuple[Permutation, ...], seed: int = 0
) -> dict[str, Tensor]:
    """The same network as `weights`, its units in the order in which they are most like those of a reference.

    Args:
        seed: decides which kind of unit comes first.
    """
    rng = np.random.default_rng(seed)
    for _ in range(ROUNDS):
        moved = False
        for index in rng.permutation(len(permutations)):
            one = permutations[index]
            alike = one.matches(reference, weights).numpy()
            _, order = linear_sum_assignment(alike, maximize=True)
            better = alike[np.arange(one.units), order].sum() > alike.trace() + 1e-9 * np.abs(alike).sum()
            if better:
                weights, moved = one.apply(weights, torch.from_numpy(order)), True
        if not moved:
            break
    return weights


def _written(policy: SequencePolicy) -> list[Place]:
    """Where what is read before the core has a row for each of its features."""
    layers: dict[str, nn.Module | None] = {"encoder.linear": policy.encoder.linear}
    layers["previous_action"] = policy.previous_action
    for i, network in enumerate(policy.encoder.pictures):
        assert isinstance(network, nn.Sequential)
        layers[f"encoder.pictures.{i}.{len(network) - 1}"] = network[-1]
    places = []
    for name, layer in layers.items():
        if isinstance(layer, nn.Linear):
            places += [Place(f"{name}.weight", 0)] + [Place(f"{name}.bias", 0)] * (layer.bias is not None)
    return places


def _read(policy: SequencePolicy) -> list[Place]:
    """Where heads have a column for each feature."""
    places = []
    for head in HEADS:
        for name, module in policy.named_modules():
            if isinstance(module, nn.Linear) and (name == head or name.startswith(f"{head}.")):
                places.append(Place(f"{name}.weight", 1))
    if isinstance(policy.action_head, StateDependentHead):
        places.append(Place("action_head.log_std", 0))
    return places
