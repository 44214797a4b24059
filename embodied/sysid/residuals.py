"""How the simulation of a plant misses recordings, for many candidates at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError, RecordingError
from embodied.sysid.plant import Plant
from embodied.sysid.recording import Recording

QUARTERS = 4  # parts of a single recording that are compared with each other
BLOCK_S = 0.5  # residuals closer in time than that are taken for one


@dataclass(frozen=True)
class Free:
    """A number to be found, and the parameters of the plant that it stands for."""

    name: str
    targets: tuple[str, ...]
    start: float
    low: float
    high: float


@dataclass(frozen=True)
class Residuals:
    """How the simulation misses recordings, for K candidates at once; what is not measured is not missed.

    Args:
        pieces: parts of recordings, simulated side by side.
        origin: which recording each is of.
        settle_s: left out at the beginning of each, whose state is not known exactly [s].
        remove_offset: a constant offset of every column of a recording is not counted.
        outlier: errors beyond it count by their size, not by its square; None for none.
    """

    plant: Plant
    free: tuple[Free, ...]
    pieces: tuple[Recording, ...]
    origin: tuple[int, ...]
    settle_s: float
    remove_offset: bool
    outlier: float | None = None

    def errors(self, candidates: NDArray) -> list[NDArray]:
        """Simulated minus measured, `(K, T, J)` of each piece; NaN where nothing was measured.

        Args:
            candidates: `(K, P)`.
        """
        values = {name: column for f, column in zip(self.free, candidates.T, strict=True) for name in f.targets}
        simulated = self.plant.simulate(values, self.pieces)
        errors = [s - self.plant.measured(piece) for s, piece in zip(simulated, self.pieces, strict=True)]
        for error, piece in zip(errors, self.pieces, strict=True):
            error[:, piece.time_s - piece.time_s[0] < self.settle_s] = np.nan
        return self._centered(errors) if self.remove_offset else errors

    def vectors(self, candidates: NDArray) -> NDArray:
        """All errors in a row, such that half the sum of their squares is to be least, `(K, M)`."""
        errors = np.concatenate([e.reshape(len(e), -1) for e in self.errors(candidates)], axis=1)[:, self.counted]
        return errors if self.outlier is None else _blunted(errors, self.outlier)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """Which of the errors count."""
        parts = []
        for piece in self.pieces:
            known = np.isfinite(self.plant.measured(piece))
            known[piece.time_s - piece.time_s[0] < self.settle_s] = False
            parts.append(known.ravel())
        return np.concatenate(parts)

    @cached_property
    def blocks(self) -> NDArray[np.intp]:
        """To which stretch of time each counted error belongs."""
        parts, first = [], 0
        for piece in self.pieces:
            block = ((piece.time_s - piece.time_s[0]) / BLOCK_S).astype(int)
            parts.append(np.repeat(first + block, len(self.plant.columns)))
            first += int(block.max()) + 1
        _, numbers = np.unique(np.concatenate(parts)[self.counted], return_inverse=True)
        return numbers

    @cached_property
    def regimes(self) -> NDArray[np.intp]:
        """To which recording each counted error belongs, or to which quarter where there is one recording only."""
        parts = []
        alone = len(set(self.origin)) == 1
        begin, end = self.pieces[0].time_s[0], self.pieces[-1].time_s[-1]
        for piece, origin in zip(self.pieces, self.origin, strict=True):
            share = (piece.time_s - begin) / max(end - begin, 1e-9)
            which = np.clip((QUARTERS * share).astype(int), 0, QUARTERS - 1) if alone else np.full(len(piece), origin)
            parts.append(np.repeat(which, len(self.plant.columns)))
        _, numbers = np.unique(np.concatenate(parts)[self.counted], return_inverse=True)
        return numbers

    @cached_property
    def joints(self) -> NDArray[np.intp]:
        """Which column each counted error is of."""
        return np.flatnonzero(self.counted) % len(self.plant.columns)

    def _centered(self, errors: list[NDArray]) -> list[NDArray]:
        for recording in set(self.origin):
            mine = [e for e, origin in zip(errors, self.origin, strict=True) if origin == recording]
            mean = np.nanmean(np.concatenate(mine, axis=1), axis=1, keepdims=True)
            for error in mine:
                error -= mean
        return errors


def residuals_of(
    plant: Plant,
    free: tuple[Free, ...],
    recordings: Sequence[Recording],
    segment_s: float | None,
    settle_s: float,
    remove_offset: bool,
) -> Residuals:
    """The residuals of recordings, cut into pieces."""
    if not recordings:
        raise RecordingError("there are no recordings to fit to")
    pieces, origin = [], []
    for number, recording in enumerate(recordings):
        for piece in segments(recording, segment_s):
            pieces.append(piece)
            origin.append(number)
    return Residuals(plant, free, tuple(pieces), tuple(origin), settle_s, remove_offset)


def segments(recording: Recording, segment_s: float | None) -> list[Recording]:
    """A recording cut into pieces of equal length, about `segment_s` (None: as it is)."""
    if segment_s is None:
        return [recording]
    if not segment_s > 0:
        raise OptionError(f"pieces of a recording need a length above 0 s, not {segment_s}")
    span = float(recording.time_s[-1] - recording.time_s[0])
    count = max(1, round(span / segment_s))
    edges = np.linspace(0, span + 1e-9, count + 1)
    return [recording.part(a, b) for a, b in pairwise(edges)]


def _blunted(errors: NDArray, outlier: float) -> NDArray:
    """Errors whose squares grow as their size does beyond `outlier`."""
    return np.sign(errors) * outlier * np.sqrt(2 * (np.sqrt(1 + (errors / outlier) ** 2) - 1))


def jackknifed(J: NDArray, errors: NDArray, part: NDArray[np.intp]) -> NDArray:
    """How estimates would spread, were one part of the errors left out after the other, `(P, P)`.

    One Gauss-Newton step stands for each new estimate (the cluster jackknife CR3 of MacKinnon, Nielsen & Webb 2023),
    and none leaves the range of a parameter.

    Args:
        J: derivatives by the shares of ranges, `(M, P)`.
        part: to which each error belongs, `(M,)`.
    """
    information, count = J.T @ J, int(part.max()) + 1
    least = 1e-9 * np.trace(information) / len(information) * np.eye(len(information))
    moved = np.zeros((count, len(information)))
    for k in range(count if count > 1 else 0):
        own = J[part == k]
        moved[k] = np.linalg.solve(information - own.T @ own + least, own.T @ errors[part == k])
    moved = np.clip(moved, -1, 1)
    return (count - 1) / count * moved.T @ moved


def clustered(scores: NDArray, bread: NDArray, cluster: NDArray[np.intp]) -> NDArray:
    """The sandwich of scores `(M, P)` that are added up within each cluster `(M,)`, `(P, P)`."""
    added = np.zeros((int(cluster.max()) + 1, scores.shape[1]))
    np.add.at(added, cluster, scores)
    return bread @ (added.T @ added) @ bread
