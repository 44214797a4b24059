"""Any MuJoCo model is shown where it is."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from command import embodied

rr = pytest.importorskip("rerun")

from embodied.view.scene import FRAMES_BETWEEN_ALL, Scene, relative_poses  # noqa: E402
from embodied.view.shapes import geom_shape  # noqa: E402

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
MENAGERIE = Path(os.environ.get("MENAGERIE_ROOT", Path(__file__).parents[2] / "shared" / "menagerie"))
GYMNASIUM = (
    *("ant", "half_cheetah", "hopper", "humanoid", "humanoidstandup", "inverted_double_pendulum"),
    *("inverted_pendulum", "point", "pusher_v5", "reacher", "swimmer", "walker2d_v5"),
)
PACKAGE = importlib.util.find_spec("dm_control")  # found, not imported
DM_CONTROL = Path(
    os.environ.get("DM_CONTROL_ROOT") or (PACKAGE and PACKAGE.origin and Path(PACKAGE.origin).parent) or "-"
)
SUITE = sorted(path.stem for path in (DM_CONTROL / "suite").glob("*.xml"))
FIELD = """
<mujoco><asset><hfield name="hills" nrow="5" ncol="7" size="2 1 0.5 0.1" elevation="
0 0 0 0 0 0 0  0 1 2 3 2 1 0  0 2 4 6 4 2 0  0 1 2 3 2 1 0  0 0 0 0 0 0 0"/></asset>
<worldbody><geom name="hills" type="hfield" hfield="hills" pos="1 0 2" euler="0 0 90"/>
<body name="ball" pos="0 0 4"><freejoint/><geom type="sphere" size=".1" group="4"/><site name="ball" size=".02"/>
<camera name="eye" pos="0 0 1"/></body></worldbody></mujoco>
"""


def moved(model: mujoco.MjModel) -> mujoco.MjData:
    """A state in which every joint is somewhere else."""
    data = mujoco.MjData(model)
    mujoco.mj_integratePos(model, data.qpos, np.random.default_rng(0).normal(0.0, 0.7, model.nv), 1.0)
    mujoco.mj_forward(model, data)
    return data


def values(component) -> np.ndarray:
    flat = component.as_arrow_array()
    while hasattr(flat, "flatten"):
        flat = flat.flatten()
    return np.asarray(flat, np.float64)


def corners(shape) -> np.ndarray:
    """`(K, 3)` points of a logged shape, in its body's frame, whose bounds are those of the shape."""
    if isinstance(shape, rr.Mesh3D):
        return values(shape.vertex_positions).reshape(-1, 3)
    translations = shape.translations if isinstance(shape, rr.Capsules3D) else shape.centers
    pos, turn = values(translations).reshape(3), np.roll(values(shape.quaternions), 1)
    if isinstance(shape, rr.Boxes3D | rr.Ellipsoids3D):
        half = values(shape.half_sizes).reshape(3)
        low, high = -half, half
    else:
        length, radius = values(shape.lengths)[0], values(shape.radii)[0]
        ends = (-radius, length + radius) if isinstance(shape, rr.Capsules3D) else (-length / 2, length / 2)
        low, high = np.array([-radius, -radius, ends[0]]), np.array([radius, radius, ends[1]])
    box = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    R = np.zeros(9)
    mujoco.mju_quat2Mat(R, turn)
    return box @ R.reshape(3, 3).T + pos


def check_geometry(model: mujoco.MjModel) -> None:
    """Each shape, put where its body is said to be along the tree, fills MuJoCo's own bounding box of that geom."""
    data = moved(model)
    pos, wxyz = relative_poses(model, data.xpos, data.xquat)
    R, p = np.zeros((model.nbody, 3, 3)), np.zeros((model.nbody, 3))
    for body in range(model.nbody):
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, wxyz[body])
        parent = model.body_parentid[body]
        R[body] = turn.reshape(3, 3) if body == 0 else R[parent] @ turn.reshape(3, 3)
        p[body] = pos[body] if body == 0 else R[parent] @ pos[body] + p[parent]
    drawn = 0
    for geom in range(model.ngeom):
        shape = geom_shape(model, geom)
        assert shape is not None, model.geom(geom).name
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE:
            continue
        body = model.geom_bodyid[geom]
        world = corners(shape) @ R[body].T + p[body]
        local = (world - data.geom_xpos[geom]) @ data.geom_xmat[geom].reshape(3, 3)
        center, half = np.split(model.geom_aabb[geom].copy(), 2)
        tolerance = 1e-5 + 1e-4 * np.max(half)
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_HFIELD:  # MuJoCo's box is of the highest that there can be
            field = model.hfield(model.geom_dataid[geom])
            center[2], half[2] = 0.0, field.size[2] * field.data.max()
        np.testing.assert_allclose(local.max(0), center + half, atol=tolerance, err_msg=model.geom(geom).name)
        if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_HFIELD:  # of which only the upper face is drawn
            np.testing.assert_allclose(local.min(0), center - half, atol=tolerance, err_msg=model.geom(geom).name)
        drawn += 1
    assert drawn


@pytest.mark.parametrize("name", GYMNASIUM)
@pytest.mark.filterwarnings("ignore")
def test_every_geom_of_a_foreign_model_is_where_mujoco_says(name):
    check_geometry(mujoco.MjModel.from_xml_path(str(ASSETS / f"{name}.xml")))


@pytest.mark.skipif(not SUITE, reason="no dm_control (pip install dm_control, or set DM_CONTROL_ROOT)")
@pytest.mark.parametrize("name", SUITE or ["suite"])
@pytest.mark.filterwarnings("ignore")
def test_every_geom_of_the_control_suite_is_where_mujoco_says(name):
    check_geometry(mujoco.MjModel.from_xml_path(str(DM_CONTROL / "suite" / f"{name}.xml")))


@pytest.mark.skipif(not MENAGERIE.is_dir(), reason=f"no models at {MENAGERIE} (set MENAGERIE_ROOT)")
def test_the_meshes_of_an_arm_are_where_mujoco_says():
    check_geometry(mujoco.MjModel.from_xml_path(str(MENAGERIE / "robotstudio_so101" / "scene.xml")))


def test_height_fields_and_shapes_that_share_a_name_are_shown():
    model = mujoco.MjModel.from_xml_string(FIELD)
    check_geometry(model)
    recording = rr.RecordingStream("test")
    scene = Scene(model, recording)
    assert scene.bodies == ["world", "world/ball"]
    assert {"world/hills", "world/ball/ball", "world/ball/eye"} <= scene._taken


PAINTED = """
<mujoco><asset><texture name="flag" type="2d" builtin="checker" rgb1="1 0 0" rgb2="0 0 1" width="16" height="16"/>
<material name="flag" texture="flag" rgba="1 1 1 1"/>
<mesh name="sail" vertex="0 0 0  1 0 0  0 1 0  0 0 1" texcoord="0.1 0.2  0.9 0.2  0.1 0.7  0.6 0.8"
face="0 2 1  0 1 3  1 2 3  0 3 2"/></asset>
<worldbody><geom name="sail" type="mesh" mesh="sail" material="flag"/></worldbody></mujoco>"""


def test_the_texture_of_a_mesh_is_where_its_corners_say():
    model = mujoco.MjModel.from_xml_string(PAINTED)
    shape = geom_shape(model, 0)
    said = {(0, 0, 0): (0.1, 0.2), (1, 0, 0): (0.9, 0.2), (0, 1, 0): (0.1, 0.7), (0, 0, 1): (0.6, 0.8)}
    places, coords = corners(shape).round(5), values(shape.vertex_texcoords).reshape(-1, 2)
    for place, coord in zip(places, coords, strict=True):
        np.testing.assert_allclose(coord, said[tuple(place + 0.0)], atol=1e-6)
    pixels = values(shape.albedo_texture_buffer).reshape(16, 16, 3)
    assert pixels[2, 2].tolist() != pixels[2, 13].tolist()
    np.testing.assert_array_equal(pixels[13, 2], pixels[2, 13])


def test_bodies_that_rest_are_logged_again_only_now_and_then():
    model = mujoco.MjModel.from_xml_string(FIELD)
    data = moved(model)
    scene = Scene(model, rr.RecordingStream("test"))
    poses = lambda: np.concatenate([data.xpos, data.xquat], axis=1).copy()  # noqa: E731
    assert scene._moved(poses()).tolist() == [1]
    assert [scene._moved(poses()).tolist() for _ in range(FRAMES_BETWEEN_ALL)] == [[]] * (FRAMES_BETWEEN_ALL - 1) + [
        [1]
    ]
    data.xpos[1] += 0.1
    assert scene._moved(poses()).tolist() == [1]


def test_models_that_have_nothing_but_collision_shapes_are_shown_all_the_same():
    xml = "<mujoco><worldbody><geom name='only' group='3' size='.1'/></worldbody></mujoco>"
    scene = Scene(mujoco.MjModel.from_xml_string(xml), rr.RecordingStream("test"))
    assert "world/only" in scene._taken


def test_view_writes_a_foreign_model_that_moves_and_says_what_it_cannot_load(tmp_path):
    file = tmp_path / "hopper.rrd"
    result = embodied("view", ASSETS / "hopper.xml", "--rerun", file, "--seconds", "0.2", "--control", "random")
    assert result.returncode == 0, result.stderr
    printed = subprocess.run(
        [Path(sys.executable).with_name("rerun"), "rrd", "print", file], capture_output=True, text=True, check=True
    ).stdout
    for path in ("/world/torso/thigh/leg/foot", "/joints/thigh_joint", "/commands/", "/world/contacts"):
        assert path in printed
    broken = tmp_path / "broken.xml"
    broken.write_text("<mujoco><worldbody><body></mujoco>")
    for target, message in ((broken, "MuJoCo does not load"), (tmp_path / "none.xml", "no model at")):
        result = embodied("view", target, "--rerun", file)
        assert result.returncode == 2
        assert message in result.stderr


def test_a_model_that_diverges_is_shown_until_it_does_and_no_longer(tmp_path):
    path = tmp_path / "wild.xml"
    path.write_text(
        '<mujoco><option timestep="0.01" integrator="Euler"/><worldbody><body><joint name="j" type="slide"/>'
        '<geom size="0.1" mass="1"/></body></worldbody><actuator><position joint="j" kp="50000"/></actuator></mujoco>'
    )
    command = [sys.executable, "-m", "embodied_scripts.cli.main", "view", path, "--rerun", tmp_path / "wild.rrd"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "wild.rrd").exists()
