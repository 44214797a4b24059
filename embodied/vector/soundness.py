"""Numbers that nobody can learn from, found where they come from: none, infinite, or too large to be squared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ObservationError
from embodied.vector.experience import Experience

LARGEST = np.float64(1e12)  # of a number whose square still has room in single precision
WIDE = (np.dtype(np.int64), np.dtype(np.uint64))  # integers that may be larger


def sound_observation(obs: Any, n: int, when: str, drop: bool = False) -> tuple[Any, NDArray[np.bool_]]:
    """Observations of `n` environments, if all numbers in them are such, and which of them were mended, `(n,)`.

    Raises:
        ObservationError: without `drop`; it names environment, key and value.
    """
    worlds = _bad({"observation": obs}, n, when, drop)
    return (_mended(obs) if worlds.any() else obs), worlds


def sound(experience: Experience, when: str, drop: bool) -> Experience:
    """The experience, if its numbers are such; with `drop`, else one in which nothing is learned from what is not.

    Raises:
        ObservationError: without `drop`; it names environment, key and value.
    """
    n = len(experience.reward)
    same = experience.final_obs is experience.obs
    past = {"reward": experience.reward} | ({} if same else {"final observation": experience.final_obs})
    present = {"observation": experience.obs}
    present |= {f"info[{name!r}]": values for name, values in experience.privileged.items()}
    before, now = _bad(past, n, when, drop), _bad(present, n, when, drop)
    if not (before | now).any():
        return experience
    experience.ignore, experience.unsound = experience.ignore | before | now, experience.unsound | now
    experience.reward = _mended(experience.reward)
    experience.obs = _mended(experience.obs)
    experience.final_obs = experience.obs if same else _mended(experience.final_obs)
    experience.privileged = _mended(experience.privileged)
    experience.final_privileged = _mended(experience.final_privileged)
    return experience


def _bad(told: dict[str, Any], n: int, when: str, drop: bool) -> NDArray[np.bool_]:
    """In which of `n` environments something that was told is no number, or too large, `(n,)`.

    Raises:
        ObservationError: without `drop`, in any.
    """
    worlds = np.zeros(n, bool)
    for name, part in told.items():
        for key, values in _parts(part, name):
            bad = _unsound(values)
            if bad is not None and not drop:
                raise ObservationError(_message(key, values, bad, when))
            worlds |= False if bad is None else bad
    return worlds


def _message(key: str, values: NDArray, bad: NDArray[np.bool_], when: str) -> str:
    world = int(bad.argmax())
    row = np.asarray(values[world], np.float64).reshape(-1)
    place = int(np.flatnonzero(~(np.abs(row) <= LARGEST))[0])
    where = f"[{place}]" if len(row) > 1 else ""
    return (
        f"{key}{where} of environment {world} is {row[place]:g} {when}: nothing can be learned from it. Mend the "
        'environment, or leave such steps out (bad_numbers="drop")'
    )


def _parts(values: Any, name: str) -> Iterator[tuple[str, NDArray]]:
    """The arrays of a batch, with their keys."""
    if isinstance(values, dict):
        for key, inner in values.items():
            yield from _parts(inner, f"{name}[{key!r}]")
    elif isinstance(values, tuple):
        for i, inner in enumerate(values):
            yield from _parts(inner, f"{name}[{i}]")
    else:
        yield name, np.asarray(values)


def _unsound(values: NDArray) -> NDArray[np.bool_] | None:
    """Rows with a number that is none or too large, `(N,)`; None without any."""
    if values.dtype.kind != "f" and values.dtype not in WIDE:
        return None
    if values.max(initial=0) <= LARGEST and values.min(initial=0) >= -LARGEST:
        return None
    return np.any(~(np.abs(values.astype(np.float64)) <= LARGEST).reshape(len(values), -1), axis=1)


def _mended(values: Any) -> Any:
    """The same with 0 in place of every number that is none or too large."""
    if isinstance(values, dict):
        return {key: _mended(inner) for key, inner in values.items()}
    if isinstance(values, tuple):
        return tuple(_mended(inner) for inner in values)
    values = np.asarray(values)
    return values if _unsound(values) is None else np.where(np.abs(values.astype(np.float64)) <= LARGEST, values, 0)
