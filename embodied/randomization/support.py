"""What the numbers of a body or a model can be, so that no world is impossible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.physics.names import DENSITY

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Support:
    """What the numbers that belong together can be: in words, and of rows of them, `(n, width)` to `(n,)`."""

    text: str
    holds: Callable[[NDArray], Flags]


def _all(test: Callable[[NDArray], Flags]) -> Callable[[NDArray], Flags]:
    return lambda rows: np.asarray(test(rows).all(axis=1))


def _ordered(rows: NDArray) -> Flags:
    return np.asarray(rows[:, 0] < rows[:, 1])


def _solid(rows: NDArray) -> Flags:
    """Principal inertias of a solid: positive, and none larger than the sum of the others."""
    return np.asarray((rows > 0).all(axis=1) & (2 * rows.max(axis=1) <= rows.sum(axis=1) * (1 + 1e-9)))


def _reference(rows: NDArray) -> Flags:
    """MuJoCo's solref: a time constant and a damping ratio, both positive, or a stiffness and a damping, negated."""
    pairs = rows[:, :2]
    return np.asarray((pairs > 0).all(axis=1) | (pairs <= 0).all(axis=1))


def _impedance(rows: NDArray) -> Flags:
    """MuJoCo's solimp: two impedances and a midpoint in (0, 1), a width that is not negative, a power from 1 on."""
    low, high, width, middle, power = rows.T
    shares = [(part > 0) & (part < 1) for part in (low, high, middle)]
    return np.asarray(shares[0] & shares[1] & shares[2] & (width >= 0) & (power >= 1))


NOT_NEGATIVE = Support("not negative", _all(lambda rows: rows >= 0))
POSITIVE = Support("positive", _all(lambda rows: rows > 0))
SHARE = Support("between 0 and 1", _all(lambda rows: (rows >= 0) & (rows <= 1)))
ANGLE = Support("between 0 and 180 degrees", _all(lambda rows: (rows > 0) & (rows < 180)))
RANGE = Support("a lower limit below an upper one", _ordered)
SOLID = Support("the principal inertias of a solid: positive, none above the sum of the other two", _solid)
REFERENCE = Support("two positive numbers, or two that are not positive", _reference)
IMPEDANCE = Support("impedances and midpoint between 0 and 1, width not negative, power at least 1", _impedance)
DIRECTION = Support("not all zero", lambda rows: np.asarray((np.abs(rows) > 1e-9).any(axis=1)))
FOCAL = Support("positive focal lengths", lambda rows: np.asarray((rows[:, :2] > 0).all(axis=1)))

_OF_FIELDS: dict[Support, tuple[str, ...]] = {
    NOT_NEGATIVE: (
        "actuator_armature", "actuator_damping", "dof_armature", "dof_damping", "dof_frictionloss", "flex_friction",
        "flex_margin", "flex_rgba", "geom_friction", "geom_margin", "geom_rgba", "geom_solmix", "jnt_margin",
        "jnt_stiffness", "light_ambient", "light_attenuation", "light_diffuse", "light_exponent", "light_specular",
        "mat_emission", "mat_rgba", "opt.density", "opt.viscosity", "pair_friction", "pair_margin",
        "site_rgba", "tendon_armature", "tendon_damping", "tendon_frictionloss", "tendon_margin", "tendon_rgba",
        "tendon_stiffness",
    ),
    POSITIVE: ("body_mass", DENSITY, "flex_solmix", "mat_texrepeat", "opt.impratio", "tendon_width"),
    SHARE: ("mat_reflectance", "mat_shininess", "mat_specular"),
    ANGLE: ("cam_fovy", "light_cutoff"),
    RANGE: (
        "actuator_actrange", "actuator_ctrlrange", "actuator_forcerange", "actuator_lengthrange", "jnt_actfrcrange",
        "jnt_range", "tendon_actfrcrange", "tendon_range",
    ),
    SOLID: ("body_inertia",),
    REFERENCE: (
        "dof_solref", "eq_solref", "flex_solref", "geom_solref", "jnt_solref", "pair_solref", "tendon_solref_fri",
        "tendon_solref_lim",
    ),
    IMPEDANCE: (
        "dof_solimp", "eq_solimp", "flex_solimp", "geom_solimp", "jnt_solimp", "pair_solimp", "tendon_solimp_fri",
        "tendon_solimp_lim",
    ),
    DIRECTION: ("body_iquat", "body_quat", "cam_quat", "geom_quat", "jnt_axis", "light_dir", "site_quat"),
    FOCAL: ("cam_intrinsic",),
}  # fmt: skip
_BY_FIELD = {field: support for support, fields in _OF_FIELDS.items() for field in fields}
_SIZES = {
    mujoco.mjtGeom.mjGEOM_SPHERE: 1,
    mujoco.mjtGeom.mjGEOM_CAPSULE: 2,
    mujoco.mjtGeom.mjGEOM_CYLINDER: 2,
    mujoco.mjtGeom.mjGEOM_ELLIPSOID: 3,
    mujoco.mjtGeom.mjGEOM_BOX: 3,
}
_OF_PARAMETERS = {
    **dict.fromkeys(("dropout", "frame_dropout", "misread", "charge"), SHARE),
    **dict.fromkeys(("constant", "resistance", "drift_time_s", "reading_range"), POSITIVE),
}


def support_of_field(model: mujoco.MjModel, field: str, row: int) -> Support | None:
    """What a row of a model field can be; None for anything."""
    if field in ("geom_size", "site_size"):
        count = _SIZES.get(mujoco.mjtGeom(getattr(model, field.replace("size", "type"))[row]), 0)
        return Support(f"positive in its {count} sizes", lambda rows: np.asarray((rows[:, :count] > 0).all(axis=1)))
    if field == "jnt_range" and model.jnt_type[row] == mujoco.mjtJoint.mjJNT_BALL:
        return Support("0 and a positive angle", lambda rows: np.asarray((rows[:, 0] == 0) & (rows[:, 1] > 0)))
    return _BY_FIELD.get(field)


def support_of_parameter(name: str) -> Support:
    """What a parameter of a robot's part can be, such as `left_motor/resistance`."""
    if name.rpartition("/")[0].endswith("battery") and name.endswith("/resistance"):
        return NOT_NEGATIVE
    return _OF_PARAMETERS.get(name.rpartition("/")[2], NOT_NEGATIVE)
