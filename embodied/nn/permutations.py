"""Units of a network that can change places without a change of what it does (Ainsworth, Hayase & Srinivasa 2023)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Place:
    """Where a tensor has an entry, or several, for each unit.

    Attributes:
        name: of the tensor; axis: of it, which is laid out as (groups, units, width).
    """

    name: str
    axis: int
    groups: int = 1
    width: int = 1


@dataclass(frozen=True)
class Permutation:
    """Units that are alike: any order of them is the same network.

    Attributes:
        units: how many; places: all places at which they stand.
    """

    units: int
    places: tuple[Place, ...]

    def under(self, prefix: str) -> Permutation:
        """The same, of a network that is a part of another one."""
        return replace(self, places=tuple(replace(one, name=prefix + one.name) for one in self.places))

    def matches(self, first: dict[str, Tensor], second: dict[str, Tensor]) -> Tensor:
        """How alike unit u of one network and unit v of another are: products of all their numbers, `(u, v)`."""
        total = torch.zeros(self.units, self.units, dtype=torch.float64)
        for place in self.places:
            one, other = (_by_unit(weights[place.name], place, self.units) for weights in (first, second))
            total += one @ other.T
        return total

    def apply(self, weights: dict[str, Tensor], order: Tensor) -> dict[str, Tensor]:
        """The weights with unit `order[u]` in the place of unit u."""
        return weights | {
            name: self._reordered(weights[name], [one for one in self.places if one.name == name], order)
            for name in {place.name for place in self.places}
        }

    def _reordered(self, tensor: Tensor, places: list[Place], order: Tensor) -> Tensor:
        for place in places:
            parts = tensor.unflatten(place.axis, (place.groups, self.units, place.width))
            tensor = parts.index_select(place.axis + 1, order).flatten(place.axis, place.axis + 2)
        return tensor


def _by_unit(tensor: Tensor, place: Place, units: int) -> Tensor:
    """A row of numbers for each unit."""
    parts = tensor.double().unflatten(place.axis, (place.groups, units, place.width))
    return parts.movedim(place.axis + 1, 0).flatten(1)
