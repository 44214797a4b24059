"""Names for single numbers in a model, such as `dof_damping[shoulder_*]` or `geom_friction[tyre][0]`.

What is fitted and what is randomized is named alike, so that an estimate can become a randomization.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import mujoco
import mujoco.batch
import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError, UnknownNameError
from embodied.patterns import matches
from embodied.physics.batch import Batch
from embodied.physics.fields import UNIT_ROWS, can_vary, derives, why_refused, why_without_effect
from embodied.physics.names import DENSITY, element_names, table_of
from embodied.seeding import ALL, Worlds

ROUNDING = 1e-12  # of the length of a unit vector
_PATTERN = re.compile(r"(?P<field>[\w.]+)(?:\[(?P<of>.*)\])?")
_COLUMN = re.compile(r"(?P<of>.*)\]\[(?P<column>\d+)")


@dataclass(frozen=True)
class Target:
    """One number, or one row of numbers, of a model field.

    Attributes:
        name: `field[element]`, or `field[element][column]`.
        columns: which numbers of the row; all of them move together.
    """

    name: str
    field: str
    row: int
    columns: tuple[int, ...]

    def nominal(self, model: mujoco.MjModel) -> NDArray[np.float64]:
        """What the model has, `(len(columns),)`."""
        if self.field == DENSITY:
            return np.ones(1)
        return table_of(model, self.field)[self.row, list(self.columns)].astype(np.float64)

    @property
    def derives(self) -> bool:
        """Whether constants follow from it, so that `derive_if_needed` must be called."""
        return self.field == DENSITY or derives(self.field)

    def write(self, batch: Batch, values: NDArray, worlds: Worlds = ALL) -> None:
        """Sets it in `worlds`; `values (n, len(columns))`. It takes effect with `derive_if_needed`."""
        index = np.arange(batch.n)[worlds]
        if self.field == DENSITY:
            for name in ("body_mass", "body_inertia"):
                nominal = table_of(batch.model, name)[self.row]
                batch.field(name).reshape(batch.n, -1, len(nominal))[index, self.row] = values * nominal
            return
        shape = (batch.n, *table_of(batch.model, self.field).shape)
        table = batch.unscaled(self.field) if self.field in UNIT_ROWS else batch.field(self.field).reshape(shape)
        table[index[:, None], self.row, np.array(self.columns)] = values

    def finish(self, batch: Batch, worlds: Worlds = ALL) -> None:
        """Normalizes its row, and lets a body that is free begin where it is put."""
        if self.field not in UNIT_ROWS and self.field != "body_pos":
            return
        index = np.arange(batch.n)[worlds]
        own = batch.field(self.field).reshape(batch.n, -1, table_of(batch.model, self.field).shape[1])
        if self.field in UNIT_ROWS:
            row = batch.unscaled(self.field)[index, self.row]
            length = np.linalg.norm(row, axis=1, keepdims=True)
            own[index, self.row] = row / np.where(np.abs(length - 1) < ROUNDING, 1.0, length)
        free = _free_joint(batch.model, self.row) if self.field in ("body_pos", "body_quat") else None
        if free is not None:
            start, width = free + (3 if self.field == "body_quat" else 0), own.shape[2]
            for name in ("qpos0", "qpos_spring"):
                batch.field(name)[index, start : start + width] = own[index, self.row]


def find_targets(model: mujoco.MjModel, pattern: str) -> list[Target]:
    """Returns everything that a pattern such as `geom_friction[*tyre*][0]` means, by element.

    `density[body]` is the mass and the inertia of a body together, as a factor of what the model has, so that they stay
    those of a solid (the pseudo-inertia of Wensing, Kim & Slotine 2018 is scaled as a whole). Elements that a pattern
    means, and in which the field can have no effect, are left out.

    Raises:
        UnknownNameError: MuJoCo has no such field, or the model no such element.
        OptionError: the field, or that of every element which is meant, cannot differ from world to world.
    """
    match = _PATTERN.fullmatch(pattern)
    field = match.group("field") if match else pattern
    why = why_refused(field)
    if why is not None and field in mujoco.batch.MODEL_FIELDS:
        raise OptionError(f"{field} cannot be set in a world: {why}")
    if match is None or not (field == DENSITY or can_vary(model, field)):
        known = [DENSITY, *(name for name in mujoco.batch.MODEL_FIELDS if can_vary(model, name))]
        raise UnknownNameError("model field", field, known)
    names = element_names(model, field)
    width = 1 if field == DENSITY else table_of(model, field).shape[1]
    wanted, column = _element(match.group("of"), names, field)
    rows = [row for row, name in enumerate(names) if matches(name, wanted)]
    if not rows:
        raise UnknownNameError(f"element of {field}", wanted, names)
    if column is not None and column not in map(str, range(width)):
        raise UnknownNameError(f"column of {field}", column, map(str, range(width)))
    columns = tuple(range(width)) if column is None else (int(column),)
    suffix = "" if column is None else f"[{column}]"
    return [
        Target(f"{field}{f'[{names[row]}]' if names[row] else ''}{suffix}", field, row, columns)
        for row in _effective(model, field, rows, names)
    ]


def _element(inside: str | None, names: list[str], field: str) -> tuple[str, str | None]:
    """Splits what stands in brackets into an element, whose name may have brackets, and a column."""
    if inside is None:
        return "*", None
    if field.startswith("opt."):
        return "*", inside
    match = _COLUMN.fullmatch(inside)
    if match is None or inside in names:
        return inside, None
    return match.group("of"), match.group("column")


def _effective(model: mujoco.MjModel, field: str, rows: list[int], names: list[str]) -> list[int]:
    """The rows in which a field can have an effect."""
    reasons = {row: why_without_effect(model, field, row) for row in rows}
    able = [row for row in rows if reasons[row] is None]
    if not able:
        raise OptionError(f"{field}[{names[rows[0]]}] would have no effect: {reasons[rows[0]]}")
    return able


def _free_joint(model: mujoco.MjModel, body: int) -> int | None:
    """Where the pose of a free body stands in `qpos`; None for a body that is not free."""
    joint = int(model.body_jntadr[body])
    free = joint >= 0 and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE
    return int(model.jnt_qposadr[joint]) if free else None


def prepare(spec: mujoco.MjSpec, patterns: Iterable[str]) -> None:
    """Lets a spec, before it is compiled, be simplified only as far as what will differ between worlds allows."""
    for field, wanted in _centers_of_mass(patterns):
        for body in spec.bodies:
            if matches(body.name, _element(wanted, [body.name], field)[0]):
                body.simple = False


def _centers_of_mass(patterns: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    for pattern in patterns:
        match = _PATTERN.fullmatch(pattern)
        if match is not None and match.group("field") in ("body_ipos", "body_iquat"):
            yield match.group("field"), match.group("of")


def check_single(name: str, width: int) -> None:
    """Raises OptionError for a row of several numbers, where one is to be found."""
    if width > 1:
        raise OptionError(f"{name} is {width} numbers: say which, as in {name}[0]")


def derive_if_needed(batch: Batch, targets: Iterable[Target], worlds: NDArray[np.intp] | None = None) -> None:
    """Lets targets that were written take effect: normalizes frames, and recomputes constants that follow."""
    written = list(targets)
    for target in written:
        target.finish(batch, ALL if worlds is None else worlds)
    if any(target.derives for target in written):
        batch.derive(worlds)
