"""What MuJoCo draws, as Rerun archetypes in the frame of their body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.extras import advice

with advice():
    import rerun as rr

PLATE = 0.005  # half the thickness of what stands for a plane [m]
ENDLESS = 10.0  # half the side of a plane without bounds [m]
UNSET = np.array([0.5, 0.5, 0.5, 1.0], np.float32)  # MuJoCo's color of shapes that are given none
KIND = mujoco.mjtGeom


@dataclass(frozen=True)
class Solid:
    """One shape as MuJoCo has it: type, sizes [m], pose in its body, color, asset of meshes and fields, material."""

    kind: int
    size: NDArray[np.float64]
    pos: NDArray[np.float64]
    wxyz: NDArray[np.float64]
    rgba: NDArray[np.uint8]
    asset: int = -1
    material: int = -1
    tint: NDArray[np.uint8] | None = None  # of a texture

    @property
    def R(self) -> NDArray[np.float64]:
        """`(3, 3)` from the frame of the shape to that of its body."""
        R = np.zeros(9)
        mujoco.mju_quat2Mat(R, self.wxyz)
        return R.reshape(3, 3)


def geom_shape(model: mujoco.MjModel, geom: int) -> Any:
    """Returns the archetype of a geom, or None for one that is not drawn: of another kind, or transparent."""
    return shape(
        model,
        Solid(
            int(model.geom_type[geom]),
            model.geom_size[geom],
            model.geom_pos[geom],
            model.geom_quat[geom],
            color(model, model.geom_rgba[geom], int(model.geom_matid[geom])),
            int(model.geom_dataid[geom]),
            int(model.geom_matid[geom]),
            tint(model, model.geom_rgba[geom], int(model.geom_matid[geom])),
        ),
    )


def site_shape(model: mujoco.MjModel, site: int) -> Any:
    """Returns the archetype of a site."""
    rgba = color(model, model.site_rgba[site], int(model.site_matid[site]))
    kind, size = int(model.site_type[site]), model.site_size[site]
    return shape(model, Solid(kind, size, model.site_pos[site], model.site_quat[site], rgba))


def shape(model: mujoco.MjModel, solid: Solid) -> Any:
    """Returns the archetype of a solid, or None for one that is not drawn."""
    if not solid.rgba[3]:
        return None
    size = solid.size
    style: dict[str, Any] = {"colors": [solid.rgba], "fill_mode": "solid"}
    pose: dict[str, Any] = {"centers": [solid.pos], "quaternions": [xyzw(solid.wxyz)]}
    if solid.kind == KIND.mjGEOM_BOX:
        return rr.Boxes3D(half_sizes=[size], **pose, **style)
    if solid.kind == KIND.mjGEOM_PLANE:
        sides = [float(half) if half > 0 else ENDLESS for half in size[:2]]
        return rr.Boxes3D(half_sizes=[[*sides, PLATE]], **pose | {"centers": [_sunk(solid)]}, **style)
    if solid.kind == KIND.mjGEOM_SPHERE:
        return rr.Ellipsoids3D(half_sizes=[[size[0]] * 3], **pose, **style)
    if solid.kind == KIND.mjGEOM_ELLIPSOID:
        return rr.Ellipsoids3D(half_sizes=[size], **pose, **style)
    if solid.kind == KIND.mjGEOM_CYLINDER:
        return rr.Cylinders3D(lengths=[2 * size[1]], radii=[size[0]], **pose, **style)
    if solid.kind == KIND.mjGEOM_CAPSULE:
        return _capsule(solid, style)
    if solid.kind in (KIND.mjGEOM_MESH, KIND.mjGEOM_SDF) and solid.asset >= 0:
        return _mesh(model, solid)
    if solid.kind == KIND.mjGEOM_HFIELD:
        return _field(model, solid)
    return None


def color(model: mujoco.MjModel, rgba: NDArray, material: int) -> NDArray[np.uint8]:
    """A shape's own color goes before its material's, unless it is MuJoCo's default; a texture counts by its mean."""
    rgba, texture = _resolved(model, rgba, material), _texture_of(model, material)
    if texture >= 0:
        rgba = np.append(_pixels(model, texture).mean(axis=(0, 1)) / 255 * rgba[:3], rgba[3])
    return in_bytes(rgba)


def tint(model: mujoco.MjModel, rgba: NDArray, material: int) -> NDArray[np.uint8]:
    """What MuJoCo multiplies a texture with."""
    return in_bytes(_resolved(model, rgba, material))


def approximated(model: mujoco.MjModel, shown: NDArray[np.bool_]) -> list[str]:
    """What of the geoms `shown (ngeom,)` is not drawn as it is, in words."""
    textured = np.array([_texture_of(model, int(material)) >= 0 for material in model.geom_matid], bool)
    kinds = np.isin(model.geom_type, [int(KIND.mjGEOM_MESH), int(KIND.mjGEOM_SDF)])
    mapped = np.array(
        [k and model.mesh_texcoordadr[d] >= 0 for k, d in zip(kinds, model.geom_dataid, strict=True)], bool
    )
    flat = int((shown & textured & ~mapped).sum())
    return [f"textures of {flat} shapes, of which the mean color is shown"] if flat else []


def _resolved(model: mujoco.MjModel, rgba: NDArray, material: int) -> NDArray:
    return rgba if material < 0 or not np.array_equal(rgba, UNSET) else model.mat_rgba[material]


def in_bytes(rgba: NDArray) -> NDArray[np.uint8]:
    """Colors from 0 to 1 as Rerun takes them."""
    return (np.clip(rgba, 0, 1) * 255).astype(np.uint8)


def xyzw(wxyz: NDArray) -> NDArray:
    """MuJoCo's order of a quaternion into Rerun's, along the last axis."""
    return np.roll(wxyz, -1, axis=-1)


def _sunk(solid: Solid) -> NDArray:
    """A plane is drawn as a thin plate whose upper face is the plane."""
    return solid.pos - PLATE * solid.R[:, 2]


def _capsule(solid: Solid, style: dict[str, Any]) -> Any:
    """Rerun's capsules start at one end, MuJoCo's are centered."""
    radius, half = solid.size[:2]
    start = solid.pos - half * solid.R[:, 2]
    turn = xyzw(solid.wxyz)
    return rr.Capsules3D(lengths=[2 * half], radii=[radius], translations=[start], quaternions=[turn], **style)


def _mesh(model: mujoco.MjModel, solid: Solid) -> Any:
    """Corners are not shared between faces, since their normals are not."""
    mesh = solid.asset
    faces = slice(model.mesh_faceadr[mesh], model.mesh_faceadr[mesh] + model.mesh_facenum[mesh])
    corners = model.mesh_vert[model.mesh_vertadr[mesh] + model.mesh_face[faces].ravel()]
    normals = model.mesh_normal[model.mesh_normaladr[mesh] + model.mesh_facenormal[faces].ravel()]
    return rr.Mesh3D(
        vertex_positions=corners @ solid.R.T + solid.pos,
        vertex_normals=normals @ solid.R.T,
        triangle_indices=np.arange(len(corners), dtype=np.uint32).reshape(-1, 3),
        **_skin(model, solid, faces),
    )


def _skin(model: mujoco.MjModel, solid: Solid, faces: slice) -> dict[str, Any]:
    """The texture of a mesh that says where it goes, else one color; both count from the first row of pixels."""
    texture, start = _texture_of(model, solid.material), int(model.mesh_texcoordadr[solid.asset])
    if texture < 0 or start < 0 or model.tex_type[texture] != mujoco.mjtTexture.mjTEXTURE_2D:
        return {"albedo_factor": solid.rgba}
    return {
        "albedo_factor": solid.tint,
        "albedo_texture": _pixels(model, texture),
        "vertex_texcoords": model.mesh_texcoord[start + model.mesh_facetexcoord[faces].ravel()],
    }


def _field(model: mujoco.MjModel, solid: Solid) -> Any:
    """The upper face of a height field."""
    field = solid.asset
    rows, columns = int(model.hfield_nrow[field]), int(model.hfield_ncol[field])
    start = model.hfield_adr[field]
    half_x, half_y, height, _ = model.hfield_size[field]
    z = height * model.hfield_data[start : start + rows * columns].reshape(rows, columns)
    x, y = np.meshgrid(np.linspace(-half_x, half_x, columns), np.linspace(-half_y, half_y, rows))
    corner = np.arange(rows * columns, dtype=np.uint32).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]))
    return rr.Mesh3D(
        vertex_positions=np.stack([x, y, z], -1).reshape(-1, 3) @ solid.R.T + solid.pos,
        triangle_indices=np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]),
        albedo_factor=solid.rgba,
    )


def _texture_of(model: mujoco.MjModel, material: int) -> int:
    """The color texture of a material, or −1."""
    return int(model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB]) if material >= 0 else -1


def _pixels(model: mujoco.MjModel, texture: int) -> NDArray[np.uint8]:
    """`(height, width, 3)`; the faces of a cube one below the other."""
    start, channels = model.tex_adr[texture], model.tex_nchannel[texture]
    height, width = model.tex_height[texture], model.tex_width[texture]
    pixels = model.tex_data[start : start + height * width * channels].reshape(height, width, channels)
    return np.repeat(pixels, 3, axis=2) if channels == 1 else pixels[..., :3]
