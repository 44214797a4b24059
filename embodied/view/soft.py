"""What has no pose but a form: tendons, flexes and skins, taken from MuJoCo's own abstract scene."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import mujoco
import numpy as np
import rerun as rr
from numpy.typing import NDArray

from embodied.view.shapes import color, in_bytes

DRAWN = (
    mujoco.mjtVisFlag.mjVIS_TENDON,
    mujoco.mjtVisFlag.mjVIS_SKIN,
    mujoco.mjtVisFlag.mjVIS_FLEXSKIN,
    mujoco.mjtVisFlag.mjVIS_STATIC,
)


class SoftParts:
    """Tendons, flexes and skins of the groups that are shown; nothing of it costs anything where there are none."""

    def __init__(self, model: mujoco.MjModel, groups: Collection[int]) -> None:
        self._model = model
        self._option = mujoco.MjvOption()
        self._option.flags[:] = 0
        self._option.flags[list(map(int, DRAWN))] = 1
        self._option.geomgroup[:] = self._option.sitegroup[:] = 0
        shown = np.isin(np.arange(mujoco.mjNGROUP), list(groups))
        for kind in ("tendongroup", "flexgroup", "skingroup"):
            getattr(self._option, kind)[:] = shown
        self.flexes = [i for i in range(model.nflex) if shown[model.flex_group[i]]]
        self.skins = [i for i in range(model.nskin) if shown[model.skin_group[i]]]
        self._any = bool(model.ntendon or self.flexes or self.skins)
        segments = 8 * int(model.nwrap) + 64 * int(model.ntendon)
        self._scene = mujoco.MjvScene(model, max(segments + model.nflex + model.nskin, 1)) if self._any else None

    def shapes(self, data: mujoco.MjData) -> dict[str, Any]:
        """Archetypes by name, in the world frame; the same names at every state."""
        if self._scene is None:
            return {}
        camera, everything = mujoco.MjvCamera(), int(mujoco.mjtCatBit.mjCAT_ALL)
        mujoco.mjv_updateScene(self._model, data, self._option, None, camera, everything, self._scene)
        parts = {"tendons": self._tendons()} if self._model.ntendon else {}
        parts |= {self._name("flex", i): self._flex(i) for i in self.flexes}
        return parts | {self._name("skin", i): self._skin(i) for i in self.skins}

    def _name(self, kind: str, i: int) -> str:
        name = mujoco.mj_id2name(self._model, getattr(mujoco.mjtObj, f"mjOBJ_{kind.upper()}"), i)
        return rr.escape_entity_path_part(name or f"{kind}{i}")

    def _tendons(self) -> rr.LineStrips3D:
        """One strip per straight segment: pulleys part a tendon, and within what it wraps around it is thinner."""
        assert self._scene is not None
        geoms = [self._scene.geoms[i] for i in range(self._scene.ngeom)]
        capsules = [g for g in geoms if g.objtype == mujoco.mjtObj.mjOBJ_TENDON]
        strips = [_axis(geom.pos, geom.mat, geom.size[2]) for geom in capsules]
        colors = [in_bytes(geom.rgba) for geom in capsules]
        return rr.LineStrips3D(strips, radii=[float(geom.size[0]) for geom in capsules], colors=colors)

    def _flex(self, flex: int) -> Any:
        model, scene = self._model, self._scene
        assert scene is not None
        rgba = color(model, model.flex_rgba[flex], int(model.flex_matid[flex]))
        if model.flex_dim[flex] == 1:
            first, count = int(scene.flexedgeadr[flex]), int(scene.flexedgenum[flex])
            ends = scene.flexedge.reshape(-1, 2)[first : first + count] + int(scene.flexvertadr[flex])
            points = scene.flexvert.reshape(-1, 3)[ends]
            return rr.LineStrips3D(points, radii=float(model.flex_radius[flex]), colors=[rgba])
        first, used = int(scene.flexfaceadr[flex]), int(scene.flexfaceused[flex])
        rows = slice(9 * first, 9 * (first + used))
        return rr.Mesh3D(
            vertex_positions=scene.flexface[rows].reshape(-1, 3),
            vertex_normals=scene.flexnormal[rows].reshape(-1, 3),
            triangle_indices=np.arange(3 * used, dtype=np.uint32).reshape(-1, 3),
            albedo_factor=rgba,
        )

    def _skin(self, skin: int) -> rr.Mesh3D:
        model, scene = self._model, self._scene
        assert scene is not None
        rows = slice(int(scene.skinvertadr[skin]), int(scene.skinvertadr[skin]) + int(scene.skinvertnum[skin]))
        faces = slice(int(model.skin_faceadr[skin]), int(model.skin_faceadr[skin]) + int(model.skin_facenum[skin]))
        return rr.Mesh3D(
            vertex_positions=scene.skinvert.reshape(-1, 3)[rows],
            vertex_normals=scene.skinnormal.reshape(-1, 3)[rows],
            triangle_indices=model.skin_face[faces].astype(np.uint32),
            albedo_factor=color(model, model.skin_rgba[skin], int(model.skin_matid[skin])),
        )


def _axis(pos: NDArray, mat: NDArray, half: float) -> NDArray[np.float64]:
    """The ends of a capsule's axis, `(2, 3)`."""
    along = half * np.asarray(mat).reshape(3, 3)[:, 2]
    return np.stack([pos - along, pos + along])
