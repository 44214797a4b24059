"""Which model fields can differ from world to world, what their values can be, and what follows from them.

MuJoCo recomputes what follows from a field (`mj_setConst`) wherever it lists the field as an input of that. The rest is
here: frames are normalized, what is computed from other fields, or read by nothing, is refused with the reason, and so
is what this model has switched off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import mujoco.batch
import numpy as np

OPTIONS = ("gravity", "wind", "magnetic", "density", "viscosity", "impratio")
UNIT_ROWS = ("body_quat", "body_iquat", "geom_quat", "site_quat", "cam_quat", "light_dir", "jnt_axis")
INPUTS = frozenset(mujoco.MjModel._setconst_inputs)  # fields from which MuJoCo computes constants

_COMPUTED = "MuJoCo computes it from other fields"
_UNREAD = "nothing reads it"
_DECLARED = "it is declared as a Timing: randomize latency_s, jitter_s or phase_s of the part"
_COMPILED = "what follows from it is computed only when a model is compiled"
_REFUSED: dict[str, str] = {
    **dict.fromkeys(
        (
            "actuator_acc0", "actuator_length0", "body_subtreemass", "body_invweight0", "body_margin", "bvh_aabb",
            "cam_mat0", "cam_pos0", "cam_poscom0", "dof_M0", "dof_invweight0", "dof_length", "efm0_L", "geom_aabb",
            "geom_fluid", "geom_rbound", "light_dir0", "light_pos0", "light_poscom0", "tendon_invweight0",
            "tendon_length0",
        ),
        _COMPUTED,
    ),
    **dict.fromkeys(
        (
            "cam_ipd", "light_bulbradius", "light_intensity", "light_range", "light_softness", "mat_metallic",
            "mat_roughness",
        ),
        _UNREAD,
    ),
    **dict.fromkeys(("actuator_delay", "sensor_delay", "sensor_interval"), _DECLARED),
    "sensor_noise": "MuJoCo only keeps it: declare an ErrorModel, and randomize its noise",
    "sensor_cutoff": "what a sensor holds back is part of its declaration: randomize nothing, or declare a limit",
    "cam_sensorsize": f"{_COMPILED}: randomize cam_intrinsic or cam_fovy",
}  # fmt: skip
_REFUSED_PREFIXES = {
    "key_": "keyframes are not what worlds begin with",
    "numeric_": _UNREAD,
    "tuple_": _UNREAD,
    "plugin_": "it is a plugin's",
    "flexedge_": _COMPUTED,
    "efm": _COMPUTED,
    "bvh_": _COMPUTED,
}
_FLEX = ("flex_friction", "flex_solref", "flex_solimp", "flex_solmix", "flex_margin", "flex_gap", "flex_rgba")


def can_vary(model: mujoco.MjModel, field: str) -> bool:
    """Whether a field is a quantity rather than a part of the model's structure."""
    if field not in mujoco.batch.MODEL_FIELDS:
        return False
    if field.startswith("opt."):
        return field.removeprefix("opt.") in OPTIONS
    return np.asarray(getattr(model, field)).dtype.kind == "f" and why_refused(field) is None


def why_refused(field: str) -> str | None:
    """Why a quantity of a model cannot be set in a compiled model; None for one that can."""
    if field in _REFUSED:
        return _REFUSED[field]
    if field.endswith("_user"):
        return _UNREAD
    if field.startswith("flex_") and field not in _FLEX:
        return _COMPILED
    return next((why for prefix, why in _REFUSED_PREFIXES.items() if field.startswith(prefix)), None)


def derives(field: str) -> bool:
    """Whether constants follow from a field."""
    return field in INPUTS


def why_without_effect(model: mujoco.MjModel, field: str, row: int) -> str | None:
    """Why a field of one element, which it has as every other, cannot take effect in a model; None if it can."""
    if field in _SWITCHES and not np.asarray(getattr(model, _SWITCHES[field]))[row]:
        return "it has no such limit: give it one in the model's file"
    check = _CHECKS.get(field)
    return check(model, row) if check is not None else None


def _is(number: int, *kinds: Any) -> bool:
    """Whether a number of a model is one of MuJoCo's enums, which do not compare with numbers by themselves."""
    return int(number) in map(int, kinds)


def _of_moving(model: mujoco.MjModel, row: int) -> str | None:
    return "it is fixed to the world" if model.body_weldid[row] == 0 else None


def _of_simple(model: mujoco.MjModel, row: int) -> str | None:
    if model.body_simple[row]:
        return "MuJoCo has simplified its inertia: give the body simple='false' in the model's file"
    return _of_moving(model, row)


def _of_primitive(model: mujoco.MjModel, row: int) -> str | None:
    kinds = (mujoco.mjtGeom.mjGEOM_MESH, mujoco.mjtGeom.mjGEOM_HFIELD, mujoco.mjtGeom.mjGEOM_SDF)
    return "its size is that of its mesh or field" if _is(model.geom_type[row], *kinds) else None


def _of_pinhole(model: mujoco.MjModel, row: int) -> str | None:
    return None if model.cam_sensorsize[row].any() else "it has no sensorsize: randomize cam_fovy"


def _of_angle(model: mujoco.MjModel, row: int) -> str | None:
    return "it has a sensorsize: randomize cam_intrinsic" if model.cam_sensorsize[row].any() else None


def _of_axis(model: mujoco.MjModel, row: int) -> str | None:
    return None if _is(model.jnt_type[row], *_SINGLE) else "it has no axis"


def _of_anchored(model: mujoco.MjModel, row: int) -> str | None:
    return "it is free" if _is(model.jnt_type[row], mujoco.mjtJoint.mjJNT_FREE) else None


def _of_coupled(model: mujoco.MjModel, row: int) -> str | None:
    kinds = (mujoco.mjtEq.mjEQ_JOINT, mujoco.mjtEq.mjEQ_TENDON)
    return None if _is(model.eq_type[row], *kinds) else _COMPILED


def _of_single(model: mujoco.MjModel, row: int) -> str | None:
    joint = int(np.searchsorted(model.jnt_qposadr, row, side="right")) - 1
    return None if _is(model.jnt_type[joint], *_SINGLE) else "it is part of a pose: randomize body_pos or body_quat"


def _of_sprung(model: mujoco.MjModel, row: int) -> str | None:
    joint = int(np.searchsorted(model.jnt_qposadr, row, side="right")) - 1
    return _of_single(model, row) or (None if model.jnt_stiffness[joint] else "its joint has no stiffness")


def _of_rubbing(model: mujoco.MjModel, row: int) -> str | None:
    return None if model.dof_frictionloss[row] else "its joint has no frictionloss"


def _of_plain_tendon(model: mujoco.MjModel, row: int) -> str | None:
    wraps = model.wrap_type[model.tendon_adr[row] : model.tendon_adr[row] + model.tendon_num[row]]
    round_about = (mujoco.mjtWrap.mjWRAP_SPHERE, mujoco.mjtWrap.mjWRAP_CYLINDER)
    return (
        "MuJoCo gives no armature to tendons that wrap around geoms"
        if any(_is(wrap, *round_about) for wrap in wraps)
        else None
    )


def _of_transmission(model: mujoco.MjModel, row: int) -> str | None:
    kind = model.actuator_trntype[row]
    if _is(kind, mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
        return None
    if _is(kind, mujoco.mjtTrn.mjTRN_TENDON):
        return _of_plain_tendon(model, int(model.actuator_trnid[row, 0]))
    return "it drives neither a joint nor a tendon"


def _of_crank(model: mujoco.MjModel, row: int) -> str | None:
    return None if _is(model.actuator_trntype[row], mujoco.mjtTrn.mjTRN_SLIDERCRANK) else "it has no crank"


def _of_muscle(model: mujoco.MjModel, row: int) -> str | None:
    return None if _is(model.actuator_gaintype[row], mujoco.mjtGain.mjGAIN_MUSCLE) else "it is no muscle"


def _of_factor(model: mujoco.MjModel, row: int) -> str | None:
    kinds = (mujoco.mjtWrap.mjWRAP_JOINT, mujoco.mjtWrap.mjWRAP_PULLEY)
    return None if _is(model.wrap_type[row], *kinds) else "it is neither a joint's coefficient nor a pulley's divisor"


def _of_fluid(model: mujoco.MjModel, row: int) -> str | None:
    return None if model.opt.density or model.opt.viscosity else "there is no fluid: give the model a density of it"


def _of_magnet(model: mujoco.MjModel, row: int) -> str | None:
    felt = any(_is(kind, mujoco.mjtSensor.mjSENS_MAGNETOMETER) for kind in model.sensor_type)
    return None if felt else "no sensor is a magnetometer"


def _of_dynamic(model: mujoco.MjModel, row: int) -> str | None:
    return "it has no dynamics" if _is(model.actuator_dyntype[row], mujoco.mjtDyn.mjDYN_NONE) else None


_SINGLE = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
_SWITCHES = {
    "jnt_range": "jnt_limited",
    "jnt_margin": "jnt_limited",
    "jnt_solref": "jnt_limited",
    "jnt_solimp": "jnt_limited",
    "jnt_actfrcrange": "jnt_actfrclimited",
    "tendon_range": "tendon_limited",
    "tendon_actfrcrange": "tendon_actfrclimited",
    "actuator_ctrlrange": "actuator_ctrllimited",
    "actuator_forcerange": "actuator_forcelimited",
    "actuator_actrange": "actuator_actlimited",
}
_CHECKS: dict[str, Callable[[mujoco.MjModel, int], str | None]] = {
    "density": _of_moving,
    "body_mass": _of_moving,
    "body_inertia": _of_moving,
    "body_gravcomp": _of_moving,
    "body_ipos": _of_simple,
    "body_iquat": _of_simple,
    "geom_size": _of_primitive,
    "cam_intrinsic": _of_pinhole,
    "cam_fovy": _of_angle,
    "jnt_axis": _of_axis,
    "jnt_pos": _of_anchored,
    "eq_data": _of_coupled,
    "qpos0": _of_single,
    "qpos_spring": _of_sprung,
    "dof_solref": _of_rubbing,
    "dof_solimp": _of_rubbing,
    "tendon_armature": _of_plain_tendon,
    "actuator_armature": _of_transmission,
    "actuator_damping": _of_transmission,
    "actuator_dampingpoly": _of_transmission,
    "actuator_cranklength": _of_crank,
    "actuator_lengthrange": _of_muscle,
    "wrap_prm": _of_factor,
    "actuator_dynprm": _of_dynamic,
    "opt.wind": _of_fluid,
    "opt.magnetic": _of_magnet,
}
