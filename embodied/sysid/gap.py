"""How far a simulation is from recordings that it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.sysid.plant import Plant
from embodied.sysid.recording import Recording
from embodied.sysid.residuals import segments
from embodied.sysid.settling import Settling, outcomes

HORIZONS_S = (0.1, 0.5, 2.0)
NEAR = 0.05  # rad, within which a command counts as reached
ALIKE = 1e-6  # commands that differ by no more than this are the same


@dataclass(frozen=True)
class Gap:
    """Errors of one set of parameters, in the unit of the signal.

    Attributes:
        replayed: mean absolute error of each recording and column, simulated from its beginning to its end, `(R, J)`.
        centered: the same without a constant offset, that is around the median error, `(R, J)`.
        by_horizon: error at `HORIZONS_S` after the simulation began where the robot was, `(R, H, J)`; NaN for shorter
            recordings.
        outcomes: for each recording, what became of commands that were held; none where commands are not for what is
            measured, column by column.
    """

    replayed: NDArray[np.float64]
    centered: NDArray[np.float64]
    by_horizon: NDArray[np.float64]
    outcomes: tuple[Settling, ...]


def gap(plant: Plant, values: Mapping[str, float], recordings: Sequence[Recording], tolerance: float = NEAR) -> Gap:
    """Replays recordings with parameters such as `Fit.values`; `{}` is the plant as it is.

    Args:
        tolerance: how near to its command a robot must come to have reached it, in the unit of the signal.
    """
    candidate = {name: np.array([value]) for name, value in values.items()}
    simulated = plant.simulate(candidate, recordings)
    errors = [s[0] - plant.measured(r) for s, r in zip(simulated, recordings, strict=True)]
    return Gap(
        replayed=np.array([np.nanmean(np.abs(e), 0) for e in errors]),
        centered=np.array([np.nanmean(np.abs(e - np.nanmedian(e, 0)), 0) for e in errors]),
        by_horizon=np.array([_by_horizon(plant, candidate, recording) for recording in recordings]),
        outcomes=tuple(
            outcomes(r, plant.measured(r), s[0], tolerance)
            for s, r in zip(simulated, recordings, strict=True)
            if r.command.shape == s[0].shape and _commanded(r)
        ),
    )


def _commanded(recording: Recording) -> bool:
    """Whether commands may be for positions, as far as units tell."""
    commands, positions = recording.units.get("command"), recording.units.get("position")
    return commands is None or positions is None or commands == positions


def repeat_floor(plant: Plant, recordings: Sequence[Recording]) -> NDArray[np.float64] | None:
    """How far recordings of the same commands are from each other, `(J,)`; None if nothing was repeated.

    No model can be expected to come closer than the robot comes to itself.
    """
    between = [
        _difference(plant, one, other)
        for i, one in enumerate(recordings)
        for other in recordings[i + 1 :]
        if _same_command(one, other)
    ]
    return np.mean(between, axis=0) if between else None


def _by_horizon(plant: Plant, candidate: Mapping[str, NDArray], recording: Recording) -> NDArray[np.float64]:
    span = float(recording.time_s[-1] - recording.time_s[0])
    count = max(1, int(span / (HORIZONS_S[-1] * 1.05)))
    pieces = [p for p in segments(recording, span / count) if p.time_s[-1] - p.time_s[0] >= HORIZONS_S[-1]]
    if not pieces:
        return np.full((len(HORIZONS_S), len(plant.columns)), np.nan)
    errors = [s[0] - plant.measured(p) for s, p in zip(plant.simulate(candidate, pieces), pieces, strict=True)]
    rows = [[np.searchsorted(p.time_s - p.time_s[0], horizon) for horizon in HORIZONS_S] for p in pieces]
    return np.nanmean([np.abs(e[at]) for e, at in zip(errors, rows, strict=True)], axis=0)


def _same_command(one: Recording, other: Recording) -> bool:
    if one.command.shape[1] != other.command.shape[1] or dict(one.metadata) != dict(other.metadata):
        return False
    at, span = one.time_s - one.time_s[0], other.time_s - other.time_s[0]
    if abs(at[-1] - span[-1]) > 0.02 * at[-1]:
        return False
    resampled = np.stack([np.interp(at, span, column) for column in other.command.T], 1)
    return bool(np.median(np.abs(resampled - one.command)) < ALIKE)


def _difference(plant: Plant, one: Recording, other: Recording) -> NDArray[np.float64]:
    at, span = one.time_s - one.time_s[0], other.time_s - other.time_s[0]
    again = np.stack([np.interp(at, span, column) for column in plant.measured(other).T], 1)
    return np.nanmean(np.abs(again - plant.measured(one)), axis=0)
