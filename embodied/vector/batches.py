"""Batches of observations of any kind, arrays or Dicts and Tuples of them, and what Gymnasium tells beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FLAGS = bool | int | float | np.bool_ | np.number | None


def numbers_of(values: Any) -> NDArray[np.float32]:
    """An array of numbers, also from Gymnasium's arrays of objects, whose empty rows become zeros."""
    array = np.asarray(values)
    if array.dtype != object:
        return array.astype(np.float32, copy=False)
    shape = next((np.shape(row) for row in array if row is not None), ())
    return np.stack([np.zeros(shape) if row is None else np.asarray(row) for row in array]).astype(np.float32)


def flags_of(values: Any) -> NDArray[np.bool_]:
    """An array of flags, also from Gymnasium's arrays of objects, where None is False."""
    return np.array([bool(value) for value in values])


def success_in(info: dict[str, Any], n: int) -> NDArray[np.bool_] | None:
    """Whether each of `n` environments says that it succeeded (`success`, `is_success`); None where that is no flag."""
    for key in ("success", "is_success"):
        values = np.asarray(info[key]) if key in info else np.zeros(())
        if values.shape == (n,) and (values.dtype.kind in "bif" or all(isinstance(v, FLAGS) for v in values)):
            return flags_of(values)
    return None


def episodes_in(
    final: dict[str, Any], info: dict[str, Any], ended: NDArray[np.bool_]
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Returns and lengths of the episodes that ended, as wrappers that count them tell in `episode`; NaN elsewhere."""
    for told in (final, info):
        episode = told.get("episode")
        if isinstance(episode, dict) and {"r", "l"} <= episode.keys():
            known = ended & np.asarray(told.get("_episode", ended), bool)
            found = (np.asarray(episode[key], np.float64) for key in ("r", "l"))
            returns, lengths = (np.where(known, values.reshape(len(ended)), np.nan) for values in found)
            return returns, lengths
    return None, None


def row_of(obs: Any, i: int) -> Any:
    """One observation of a batch."""
    if isinstance(obs, dict):
        return {key: row_of(value, i) for key, value in obs.items()}
    return tuple(row_of(value, i) for value in obs) if isinstance(obs, tuple) else obs[i]


def merged(obs: Any, final: Any, ended: NDArray[np.bool_]) -> Any:
    """Returns `obs` with the rows of `ended` taken from `final` (an array, a dict, or an array of objects)."""
    if isinstance(obs, dict | tuple):
        keys = list(obs) if isinstance(obs, dict) else list(range(len(obs)))
        whole = isinstance(final, dict | tuple)
        parts = [merged(obs[k], final[k] if whole else [f and f[k] for f in final], ended) for k in keys]
        return dict(zip(keys, parts, strict=True)) if isinstance(obs, dict) else tuple(parts)
    rows = np.array(obs, copy=True)
    for i in np.flatnonzero(ended):
        rows[i] = final[i]
    return rows


def stack_observations(rows: list[Any]) -> Any:
    """Several observations as a batch."""
    if isinstance(rows[0], dict):
        return {key: stack_observations([row[key] for row in rows]) for key in rows[0]}
    if isinstance(rows[0], tuple):
        return tuple(stack_observations(list(parts)) for parts in zip(*rows, strict=True))
    return np.stack(rows)
