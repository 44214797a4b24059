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
    found = [(key, v, bad) for key, v in _parts(obs, "observation") if (bad := _unsound(v)) is not None]
    if found and not drop:
        raise ObservationError(_message(*found[0], when))
    mended = np.logical_or.reduce([bad for *_, bad in found], initial=np.zeros(n, bool)) if found else np.zeros(n, bool)
    return (_mended(obs) if found else obs), mended


def sound(experience: Experience, when: str, drop: bool) -> Experience:
    """The experience, if its numbers are such; with `drop`, else one in which nothing is learned from what is not.

    Raises:
        ObservationError: without `drop`; it names environment, key and value.
    """
    told = {"reward": experience.reward, "observation": experience.obs}
    if experience.final_obs is not experience.obs:
        told["final observation"] = experience.final_obs
    told |= {f"info[{name!r}]": values for name, values in experience.privileged.items()}
    found = [
        (key, v, bad)
        for name, part in told.items()
        for key, v in _parts(part, name)
        if (bad := _unsound(v)) is not None
    ]
    if not found:
        return experience
    if not drop:
        raise ObservationError(_message(*found[0], when))
    for key, _, bad in found:
        experience.ignore = experience.ignore | bad
        if key.startswith("observation") or key.startswith("info"):
            experience.unsound = experience.unsound | bad
    experience.reward = _mended(experience.reward)
    same = experience.final_obs is experience.obs
    experience.obs = _mended(experience.obs)
    experience.final_obs = experience.obs if same else _mended(experience.final_obs)
    experience.privileged = _mended(experience.privileged)
    experience.final_privileged = _mended(experience.final_privileged)
    return experience


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
