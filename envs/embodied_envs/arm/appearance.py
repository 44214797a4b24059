"""SO-101 as it looks: the meshes of MuJoCo Menagerie on our own body, which moves and touches as before."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

import mujoco
import numpy as np

import embodied_assets as assets
from embodied.errors import ModelError
from embodied.extras import advice

BODIES = ("base", "shoulder", "upper_arm", "lower_arm", "wrist", "gripper", "moving_jaw")
THEIRS = {"moving_jaw": "moving_jaw_so101_v1"}  # where their body is called otherwise
TOUCHED = 3  # geom group of what collides and is not drawn


@cache
def with_meshes() -> Path:
    """Writes the arm with Menagerie's meshes into a file of this process, and returns its path.

    Menagerie is the folder `MENAGERIE_ROOT`, or what the package `mujoco-menagerie` downloads once.

    Raises:
        ModelError: there is no such model in that folder.
        MissingExtraError: neither is there.
    """
    spec = mujoco.MjSpec.from_file(str(assets.robot_path("so101")))
    path = _menagerie() / "so101.xml"
    if not path.is_file():
        raise ModelError(f"MuJoCo Menagerie has no {path}")
    theirs = mujoco.MjSpec.from_file(str(path))
    _dress(spec, theirs, path.parent / theirs.meshdir)
    made = Path(_folder().name) / "so101.xml"
    made.write_text(spec.to_xml())
    return made


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """A folder that goes when this process ends."""
    return tempfile.TemporaryDirectory(prefix="embodied-so101-")


def _menagerie() -> Path:
    if root := os.environ.get("MENAGERIE_ROOT"):
        return Path(root) / "robotstudio_so101"
    with advice():
        import mujoco_menagerie
    return mujoco_menagerie.get("robotstudio_so101").path()


def _dress(spec: mujoco.MjSpec, theirs: mujoco.MjSpec, meshes: Path) -> None:
    """Hides the shapes of `spec`, and gives each body the visual meshes of the same body of `theirs`."""
    ours_now, theirs_now = _at_zero(spec), _at_zero(theirs)
    for geom in spec.geoms:
        geom.group = TOUCHED
    for material in theirs.materials:
        spec.add_material(name=f"menagerie_{material.name}", rgba=material.rgba)
    for body in BODIES:
        seen = [g for g in theirs.body(THEIRS.get(body, body)).geoms if g.type == mujoco.mjtGeom.mjGEOM_MESH]
        frame = _relative(ours_now.body(body), theirs_now.body(THEIRS.get(body, body)))
        for geom in [g for g in seen if not (g.contype or g.conaffinity)]:
            if spec.mesh(geom.meshname) is None:
                spec.add_mesh(name=geom.meshname, file=str(meshes / theirs.mesh(geom.meshname).file))
            place, turn = _within(frame, geom.pos, geom.quat)
            spec.body(body).add_geom(
                type=mujoco.mjtGeom.mjGEOM_MESH, meshname=geom.meshname, material=f"menagerie_{geom.material}",
                pos=place, quat=turn, contype=0, conaffinity=0, group=1, mass=0,
            )  # fmt: skip


def _at_zero(spec: mujoco.MjSpec) -> mujoco.MjData:
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return data


def _relative(outer: mujoco.MjData, inner: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
    """Place and orientation of one body in the frame of another."""
    back, place, turn = np.zeros(4), np.zeros(3), np.zeros(4)
    mujoco.mju_negQuat(back, outer.xquat)
    mujoco.mju_rotVecQuat(place, inner.xpos - outer.xpos, back)
    mujoco.mju_mulQuat(turn, back, inner.xquat)
    return place, turn


def _within(frame: tuple[np.ndarray, np.ndarray], pos: np.ndarray, quat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A pose that is given in a frame, in the frame around that."""
    place, turn, unit = np.zeros(3), np.zeros(4), quat / np.linalg.norm(quat)
    mujoco.mju_rotVecQuat(place, pos, frame[1])
    mujoco.mju_mulQuat(turn, frame[1], unit)
    return frame[0] + place, turn
