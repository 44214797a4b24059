"""Names for single numbers in a model, such as `dof_damping[shoulder_*]` or `geom_friction[tyre][0]`.

What is fitted and what is randomized is named alike, so that an estimate can become a randomization.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import mujoco
import mujoco.batch
import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError, UnknownNameError
from embodied.physics.batch import Batch
from embodied.seeding import ALL, Worlds

DENSITY = "density"  # mass and inertia of a body together, as a factor
_PATTERN = re.compile(r"(?P<field>[\w.]+)(?:\[(?P<of>[^\]]*)\])?(?:\[(?P<column>\d+)\])?")
_OWNERS = {
    "body": "body_",
    "joint": "jnt_",
    "dof": "dof_",
    "geom": "geom_",
    "site": "site_",
    "camera": "cam_",
    "light": "light_",
    "material": "mat_",
    "actuator": "actuator_",
    "sensor": "sensor_",
    "tendon": "tendon_",
    "equality": "eq_",
    "pair": "pair_",
}
OPTIONS = ("gravity", "wind", "magnetic", "density", "viscosity", "impratio")
DERIVED_FROM = ("body_", "dof_armature", "jnt_stiffness", "tendon_", "qpos0", "qpos_spring", "actuator_gear")


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
        """Whether constants follow from it, so that `Batch.derive` must be called."""
        return self.field == DENSITY or self.field.startswith(DERIVED_FROM)

    def write(self, batch: Batch, values: NDArray, worlds: Worlds = ALL) -> None:
        """Sets it in `worlds`; `values (n, len(columns))`."""
        if self.field == DENSITY:
            for name in ("body_mass", "body_inertia"):
                own, nominal = batch.field(name), getattr(batch.model, name)[self.row]
                own[worlds, self.row] = (values * nominal).reshape(own[worlds, self.row].shape)
            return
        own = batch.field(self.field)
        rows = own.reshape(batch.n, *table_of(batch.model, self.field).shape)
        index = np.arange(batch.n)[worlds]
        rows[index[:, None], self.row, np.array(self.columns)] = values


def find_targets(model: mujoco.MjModel, pattern: str) -> list[Target]:
    """Returns everything that a pattern such as `geom_friction[*tyre*][0]` means, by element.

    `density[body]` is the mass and the inertia of a body together, as a factor of what the model has, so that they stay
    those of a solid (the pseudo-inertia of Wensing, Kim & Slotine 2018 is scaled as a whole).

    Raises:
        UnknownNameError: MuJoCo has no such field, or the model no such element.
    """
    match = _PATTERN.fullmatch(pattern)
    field, wanted, column = match.group("field", "of", "column") if match else (pattern, None, None)
    if match is None or not (field == DENSITY or _can_vary(model, field)):
        known = [DENSITY, *(name for name in mujoco.batch.MODEL_FIELDS if _can_vary(model, name))]
        raise UnknownNameError("model field", field, known)
    if field.startswith("opt."):
        wanted, column = None, wanted
    names = element_names(model, field)
    rows = [row for row, name in enumerate(names) if fnmatchcase(name, "*" if wanted is None else wanted)]
    if not rows:
        raise UnknownNameError(f"element of {field}", wanted, names)
    width = 1 if field == DENSITY else table_of(model, field).shape[1]
    if column is not None and column not in map(str, range(width)):
        raise UnknownNameError(f"column of {field}", column, map(str, range(width)))
    columns = tuple(range(width)) if column is None else (int(column),)
    suffix = "" if column is None else f"[{column}]"
    return [Target(f"{field}{f'[{names[row]}]' if names[row] else ''}{suffix}", field, row, columns) for row in rows]


def check_single(name: str, width: int) -> None:
    """Raises OptionError for a row of several numbers, where one is to be found."""
    if width > 1:
        raise OptionError(f"{name} is {width} numbers: say which, as in {name}[0]")


def table_of(model: mujoco.MjModel, field: str) -> NDArray:
    """A model field as `(elements, columns)`; an option of the simulation has one element."""
    if field.startswith("opt."):
        return np.asarray(getattr(model.opt, field.removeprefix("opt.")), np.float64).reshape(1, -1)
    table = np.asarray(getattr(model, field))
    return table.reshape(len(table), int(np.prod(table.shape[1:], dtype=int)))


def _can_vary(model: mujoco.MjModel, field: str) -> bool:
    """Whether a field is a quantity rather than a part of the model's structure."""
    if field not in mujoco.batch.MODEL_FIELDS:
        return False
    if field.startswith("opt."):
        return field.removeprefix("opt.") in OPTIONS
    return np.asarray(getattr(model, field)).dtype.kind == "f"


def element_names(model: mujoco.MjModel, field: str) -> list[str]:
    """Names of the rows of a model field; an element without a name is called by its number."""
    if field == DENSITY:
        field = "body_mass"
    owner = next((kind for kind, prefix in _OWNERS.items() if field.startswith(prefix)), None)
    count = len(table_of(model, field))
    if owner is None:
        return [""] if field.startswith("opt.") else [str(row) for row in range(count)]
    if owner == "dof":
        return _dof_names(model)
    kind = getattr(mujoco.mjtObj, f"mjOBJ_{owner.upper()}")
    return [mujoco.mj_id2name(model, kind, row) or str(row) for row in range(count)]


def _dof_names(model: mujoco.MjModel) -> list[str]:
    """Degrees of freedom by their joint; those of a joint with several are numbered."""
    joints = np.asarray(model.dof_jntid)
    first = np.asarray(model.jnt_dofadr)[joints]
    counts = np.bincount(joints, minlength=model.njnt)
    names = [model.joint(int(joint)).name or str(joint) for joint in joints]
    return [
        f"{name}.{dof - start}" if counts[joint] > 1 else name
        for dof, (name, joint, start) in enumerate(zip(names, joints, first, strict=True))
    ]


def derive_if_needed(batch: Batch, targets: Iterable[Target], worlds: NDArray[np.intp] | None = None) -> None:
    """Recomputes the constants that follow from targets which were written."""
    if any(target.derives for target in targets):
        batch.derive(worlds)
