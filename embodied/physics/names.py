"""What the rows of model fields are called."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

DENSITY = "density"  # mass and inertia of a body together, as a factor
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
    "flex": "flex_",
}
_OF_CONTROLS = ("actuator_ctrlrange",)
_OF_QPOS = ("qpos0", "qpos_spring")


def table_of(model: mujoco.MjModel, field: str) -> NDArray:
    """A model field as `(elements, columns)`; an option of the simulation has one element."""
    if field.startswith("opt."):
        return np.asarray(getattr(model.opt, field.removeprefix("opt.")), np.float64).reshape(1, -1)
    table = np.asarray(getattr(model, field))
    return table.reshape(len(table), int(np.prod(table.shape[1:], dtype=int)))


def element_names(model: mujoco.MjModel, field: str) -> list[str]:
    """Names of the rows of a model field; an element without a name is called by its number."""
    if field in _OF_CONTROLS:
        return control_names(model)
    if field in _OF_QPOS:
        return _numbered(model, np.asarray(model.jnt_qposadr), model.nq)
    field = "body_mass" if field == DENSITY else field
    owner = next((kind for kind, prefix in _OWNERS.items() if field.startswith(prefix)), None)
    count = len(table_of(model, field))
    if owner is None:
        return [""] if field.startswith("opt.") else [str(row) for row in range(count)]
    if owner == "dof":
        return _numbered(model, np.asarray(model.jnt_dofadr), model.nv)
    kind = getattr(mujoco.mjtObj, f"mjOBJ_{owner.upper()}")
    return [mujoco.mj_id2name(model, kind, row) or str(row) for row in range(count)]


def control_names(model: mujoco.MjModel) -> list[str]:
    """Controls by their actuator, `(nu,)`; those of an actuator with several are called after what they take."""
    names: list[str] = []
    for actuator in range(model.nactuator):
        name = model.actuator(actuator).name or str(actuator)
        count, spec = int(model.actuator_ctrlnum[actuator]), int(model.actuator_ctrlspec[actuator])
        inputs = [str(k) for k in range(count)]
        asked = [kind for kind in _INPUTS if spec & int(kind)]
        if len(asked) == count:
            inputs = [_INPUTS[kind] for kind in asked]
        names += [name] if count == 1 else [f"{name}.{one}" for one in inputs]
    return names


_INPUTS = {
    mujoco.mjtCtrlInput.mjINPUT_POS: "pos",
    mujoco.mjtCtrlInput.mjINPUT_VEL: "vel",
    mujoco.mjtCtrlInput.mjINPUT_FF: "ff",
}


def _numbered(model: mujoco.MjModel, first: NDArray, total: int) -> list[str]:
    """Numbers of joints, by their joint; those of a joint with several are counted."""
    counts = np.diff([*first, total])
    names = [model.joint(joint).name or str(joint) for joint in range(model.njnt)]
    return [
        f"{name}.{k}" if count > 1 else name for name, count in zip(names, counts, strict=True) for k in range(count)
    ]
