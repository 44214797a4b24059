"""Beliefs as outputs of a network: what is said of each hidden variable, and how likely that makes the truth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from embodied.hidden import Discrete, Hidden

Form = int | tuple[float, float, bool]
UNIFORM = math.log(math.sqrt(1 / 12))  # ln of the standard deviation of a uniform on the unit interval
LOG_SPREAD = 4.0  # by how much a belief can be sharper or wider than that


def forms_of(variables: tuple[Hidden, ...]) -> tuple[Form, ...]:
    """What a belief has to know of each variable: the number of values, or low, high and whether it is an angle."""
    return tuple(len(v.labels) if isinstance(v, Discrete) else (v.low, v.high, v.angle) for v in variables)


@dataclass(frozen=True)
class BeliefHeadLayout:
    """How the outputs of a belief head are to be read; the variables are believed to be independent.

    A discrete variable has one logit per value, a continuous one mean and log-spread of a Gaussian, in shares of its
    range, and an angle the direction and, by its length, the concentration of a von Mises distribution.
    """

    variables: tuple[Form, ...]

    @property
    def size(self) -> int:
        """How many outputs there are."""
        return sum(_outputs(form) for form in self.variables)

    @property
    def values(self) -> int:
        """How many values the first variable has; 0 if it is continuous, or there is none."""
        return self.variables[0] if self.variables and isinstance(self.variables[0], int) else 0

    def probabilities(self, output: Tensor) -> Tensor | None:
        """Of the values of the first variable, `(…, values)`; None if it has none."""
        return output[..., : self.values].softmax(-1) if self.values else None

    def log_density(self, output: Tensor, truth: Tensor) -> Tensor:
        """How likely `output (…, size)` makes the truth `(…, k)`, by variable, `(…, k)` [nats].

        A continuous variable's density is per range, so that that of its uniform prior is 0 and this is at once what
        was learned about it.
        """
        parts = [_log_density(form, out, truth[..., i]) for i, (form, out) in enumerate(self._split(output))]
        return torch.stack(parts, dim=-1)

    def cross_entropy(self, output: Tensor, probabilities: Tensor) -> Tensor:
        """Of `output (…, size)` and somebody's probabilities of the first variable `(…, values)`, `(…,)` [nats]."""
        return -(probabilities * output[..., : self.values].log_softmax(-1)).sum(-1)

    def information(self, output: Tensor) -> Tensor:
        """By how much less uncertain beliefs `(…, size)` are than knowing nothing, over all variables, `(…)` [nats].

        Their own view: the entropy of a uniform distribution minus that of the belief, and no less than 0.
        """
        parts = [_information(form, out) for form, out in self._split(output)]
        return torch.stack(parts, dim=-1).clamp(min=0.0).sum(-1)

    def _split(self, output: Tensor) -> Iterator[tuple[Form, Tensor]]:
        yield from zip(self.variables, output.split([_outputs(form) for form in self.variables], dim=-1), strict=True)


def _outputs(form: Form) -> int:
    return form if isinstance(form, int) else 2


def _log_density(form: Form, output: Tensor, truth: Tensor) -> Tensor:
    if isinstance(form, int):
        return output.log_softmax(-1).gather(-1, truth.long()[..., None])[..., 0]
    low, high, angle = form
    if angle:
        return _von_mises(output, truth) + math.log(high - low)
    return _gaussian(output, (truth - low) / (high - low))


def _information(form: Form, output: Tensor) -> Tensor:
    if isinstance(form, int):
        return math.log(form) + (output.softmax(-1) * output.log_softmax(-1)).sum(-1)
    low, high, angle = form
    if not angle:
        return -_log_spread(output) - 0.5 * math.log(2 * math.pi * math.e)
    concentration = _concentration(output)
    towards = torch.special.i1e(concentration) / torch.special.i0e(concentration)  # mean of the cosine
    return concentration * (towards - 1) - _von_mises_normalizer(concentration) + math.log(high - low)


def _log_spread(output: Tensor) -> Tensor:
    return UNIFORM + LOG_SPREAD * torch.tanh(output[..., 1] / LOG_SPREAD)


def _gaussian(output: Tensor, share: Tensor) -> Tensor:
    log_spread = _log_spread(output)
    deviation = (share - 0.5 - output[..., 0]) / log_spread.exp()
    return -0.5 * deviation**2 - log_spread - 0.5 * math.log(2 * math.pi)


def _von_mises(output: Tensor, angle: Tensor) -> Tensor:
    """ln of exp(κ cos(θ − μ)) / (2π I₀(κ)); κ grows exponentially with the length of the output."""
    length = _length(output)
    concentration = _concentration(output)
    along = (output[..., 0] * angle.cos() + output[..., 1] * angle.sin()) / length
    return concentration * (along - 1) - _von_mises_normalizer(concentration)


def _length(output: Tensor) -> Tensor:
    return (output**2).sum(-1).clamp(min=1e-12).sqrt()


def _concentration(output: Tensor) -> Tensor:
    return torch.expm1(_length(output).clamp(max=10.0))


def _von_mises_normalizer(concentration: Tensor) -> Tensor:
    """ln of 2π I₀(κ) e^−κ."""
    return math.log(2 * math.pi) + torch.special.i0e(concentration).log()
