"""Any MuJoCo model is shown where it is."""

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

from foreign import files_of, try_file  # noqa: E402
from scene_oracle import Log, corners, differences, moved, numbers  # noqa: E402

from embodied.errors import ModelError, ModelWarning  # noqa: E402
from embodied.layout import SHARE_OF_WHITE, Channel, Layout  # noqa: E402
from embodied.physics.loading import read_model  # noqa: E402
from embodied.view.robot_stream import RobotStream  # noqa: E402
from embodied.view.scene import FRAMES_BETWEEN_ALL, Scene  # noqa: E402
from embodied.view.shapes import geom_shape  # noqa: E402

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
MENAGERIE = Path(os.environ.get("MENAGERIE_ROOT", Path(__file__).parents[2] / "shared" / "menagerie"))
FOREIGN = [folder for folder in os.environ.get("FOREIGN_MODELS", "").split(os.pathsep) if folder]
FIELD = """
<mujoco><asset><hfield name="hills" nrow="5" ncol="7" size="2 1 0.5 0.1" elevation="
0 0 0 0 0 0 0  0 1 2 3 2 1 0  0 2 4 6 4 2 0  0 1 2 3 2 1 0  0 0 0 0 0 0 0"/></asset>
<worldbody><geom name="hills" type="hfield" hfield="hills" pos="1 0 2" euler="0 0 90"/>
<body name="ball" pos="0 0 4"><freejoint/><geom type="sphere" size=".1" group="4"/><site name="ball" size=".02"/>
<camera name="eye" pos="0 0 1"/></body></worldbody></mujoco>
"""


def check(model: mujoco.MjModel) -> None:
    assert differences(model) == []


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.xml")), ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_the_models_of_gymnasium_are_shown_as_mujoco_shows_them(path):
    check(read_model(path))


@pytest.mark.skipif(not FOREIGN, reason="set FOREIGN_MODELS to folders of dm_control, gymnasium_robotics, robosuite, …")
@pytest.mark.parametrize("folder", FOREIGN or ["-"], ids=lambda folder: Path(folder).name)
@pytest.mark.filterwarnings("ignore")
def test_the_models_of_others_are_shown_as_mujoco_shows_them_or_refused(folder):
    results = {path: try_file(path) for path in files_of(Path(folder))}
    assert {path: result for path, result in results.items() if result.startswith("differs")} == {}
    assert sum(result == "shown" for result in results.numbers()) > len(results) / 2


@pytest.mark.skipif(not MENAGERIE.is_dir(), reason=f"no models at {MENAGERIE} (set MENAGERIE_ROOT)")
def test_an_arm_with_meshes_is_shown_as_mujoco_shows_it():
    check(read_model(MENAGERIE / "robotstudio_so101" / "scene.xml"))


EVERYTHING = """
<mujoco><asset><hfield name="hills" nrow="5" ncol="7" size="2 1 0.5 0.1" elevation="
0 0 0 0 0 0 0  0 1 2 3 2 1 0  0 2 4 6 4 2 0  0 1 2 3 2 1 0  0 0 0 0 0 0 0"/>
<material name="red" rgba="1 0 0 .5"/><mesh name="tetra" vertex="0 0 0 1 0 0 0 1 0 0 0 1" scale=".1 .2 .3"/></asset>
<worldbody><geom type="plane" size="3 2 .1" pos="0 0 -1" euler="10 20 0"/>
<geom name="hills" type="hfield" hfield="hills" pos="1 0 2" euler="0 0 30"/>
<body name="a" pos=".1 .2 4" euler="10 20 30"><freejoint/>
<geom name="own" type="capsule" fromto="0 0 0 .3 .1 .2" size=".03" material="red" rgba="0 1 0 1"/>
<geom name="of_material" type="ellipsoid" size=".1 .2 .3" pos="1 0 0" euler="30 0 0" material="red"/>
<geom name="unset" type="box" size=".1 .2 .3" pos="0 1 0"/><geom name="clear" size=".1" rgba="1 1 1 0"/>
<geom name="rod" type="cylinder" size=".1 .4" pos="0 2 0" euler="0 40 0"/><geom type="mesh" mesh="tetra" pos="0 0 1"/>
<geom name="collision" type="sphere" size=".1" group="3"/><site name="s" type="box" size=".1 .2 .3" rgba="0 0 1 .3"/>
<site name="hidden" size=".2" group="4"/><camera name="fixed" pos="0 0 1"/><camera name="track" mode="trackcom"/>
<camera name="aim" mode="targetbody" target="b" pos="0 3 0"/></body>
<body name="b" pos="0 0 1"><joint axis="0 1 0"/><geom size=".1"/><site name="p" pos=".1 0 0"/>
<body name="c" pos="1 0 0"><joint axis="0 0 1"/><geom name="drum" type="cylinder" size=".05 .1"/>
<site name="q" pos=".3 0 .1"/><site name="r" pos="0 .3 0"/></body></body>
<flexcomp name="cloth" type="grid" count="4 3 1" spacing=".1 .1 .1" pos="0 2 1" radius=".01" dim="2" rgba="0 .5 1 1">
<edge equality="true"/></flexcomp>
<flexcomp name="jelly" type="grid" count="3 3 3" spacing=".1 .1 .1" pos="0 3 1" radius=".01" dim="3"/>
<flexcomp name="rope" type="grid" count="6 1 1" spacing=".1 .1 .1" pos="0 4 1" radius=".02" dim="1">
<edge equality="true"/></flexcomp></worldbody>
<tendon><spatial width=".01" rgba="1 1 0 1"><site site="p"/><geom geom="drum"/><site site="q"/><pulley divisor="2"/>
<site site="q"/><site site="r"/></spatial></tendon></mujoco>"""


def test_all_that_mujoco_draws_is_shown_as_mujoco_shows_it():
    check(mujoco.MjModel.from_xml_string(EVERYTHING))


@pytest.mark.parametrize(
    ("where", "mutant"),
    [
        ("shapes.color", lambda model, rgba, material: (255 * model.mat_rgba[material]).astype(np.uint8)),
        ("shapes.xyzw", lambda wxyz: np.roll(wxyz, -1, axis=-1) * [1, 1, -1, 1]),
        ("scene.site_shape", lambda model, site: None),
        ("scene._groups_of", lambda model: (0, 1, 2, 3)),
        ("soft.SoftParts.shapes", lambda self, data: {}),
    ],
)
def test_the_comparison_with_mujocos_scene_would_notice(monkeypatch, where, mutant):
    monkeypatch.setattr(f"embodied.view.{where}", mutant)
    assert differences(mujoco.MjModel.from_xml_string(EVERYTHING)) != []


def test_cameras_that_track_or_aim_are_placed_at_every_step():
    model, log = mujoco.MjModel.from_xml_string(EVERYTHING), Log()
    scene = Scene(model, log)
    data = moved(model)
    scene.log(data)
    for name, path in (("fixed", "world/a/fixed"), ("track", "world/track"), ("aim", "world/aim")):
        camera = model.camera(name).id
        R, p = log.pose(path)
        np.testing.assert_allclose(p, data.cam_xpos[camera], atol=1e-6)
        np.testing.assert_allclose(R, data.cam_xmat[camera].reshape(3, 3), atol=1e-6)


def test_an_orthographic_camera_is_a_box_and_a_calibrated_one_has_its_principal_point():
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><camera name='flat' projection='orthographic' fovy='2' resolution='300 200'/>"
        "<camera name='cal' resolution='320 200' sensorsize='.32 .2' focalpixel='210 250' principalpixel='-11.8 21.7'/>"
        "</worldbody></mujoco>"
    )
    log = Log()
    Scene(model, log)
    box = numbers(log.shape("world/flat").strips).reshape(-1, 3)
    np.testing.assert_allclose(np.ptp(box, axis=0)[:2], [3.0, 2.0])
    matrix = numbers(log.shape("world/cal").image_from_camera).reshape(3, 3).T
    np.testing.assert_allclose(matrix, [[210, 0, 171.8], [0, 250, 78.3], [0, 0, 1]], atol=1e-3)


def test_a_skin_follows_its_bones():
    model = mujoco.MjModel.from_xml_string(
        """<mujoco><worldbody><body name="lower"><joint axis="0 1 0"/><geom size=".1"/></body>
        <body name="upper" pos="0 0 1"><geom size=".1"/></body></worldbody><deformable>
        <skin name="hide" vertex="0 0 0 .1 0 0 0 .1 0 0 0 1" face="0 1 2 0 1 3" rgba=".2 .4 .6 1">
        <bone body="lower" bindpos="0 0 0" bindquat="1 0 0 0" vertid="0 1 2" vertweight="1 1 1"/>
        <bone body="upper" bindpos="0 0 1" bindquat="1 0 0 0" vertid="3" vertweight="1"/></skin>
        </deformable></mujoco>"""
    )
    data, log = mujoco.MjData(model), Log()
    data.qpos[0] = np.pi / 2
    mujoco.mj_forward(model, data)
    Scene(model, log).log(data)
    skin = log.shape("world/hide")
    np.testing.assert_allclose(
        numbers(skin.vertex_positions).reshape(-1, 3),
        [[0, 0, 0], [0, 0, -0.1], [0, 0.1, 0], [0, 0, 1]],
        atol=1e-6,
    )


def test_what_is_not_shown_as_it_is_is_said():
    scene = Scene(mujoco.MjModel.from_xml_string(EVERYTHING), Log())
    assert scene.left_out == ["1 geoms of hidden groups (3)", "1 sites of hidden groups (4)"]
    assert Scene(mujoco.MjModel.from_xml_string(EVERYTHING), Log(), groups=range(6)).left_out == []


def test_shapes_that_share_a_name_are_shown():
    scene = Scene(mujoco.MjModel.from_xml_string(FIELD), rr.RecordingStream("test"))
    assert scene.bodies == ["world", "world/ball"]
    assert {"world/hills", "world/ball/ball", "world/ball/eye"} <= scene._taken


URDF = """<?xml version="1.0"?><robot name="r" xmlns:extra="http://example.org"><link name="base"><inertial>
<mass value="2"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial><visual><geometry>
<box size=".1 .2 .3"/></geometry></visual><collision><geometry><box size=".2 .2 .3"/></geometry></collision></link>
<link name="l1"><inertial><origin xyz="0 0 .1"/><mass value=".5"/>
<inertia ixx=".01" iyy=".01" izz=".01" ixy="0" ixz="0" iyz="0"/></inertial><visual><geometry>
<mesh filename="package://somewhere/meshes/link.stl"/></geometry></visual></link>
<joint name="pan" type="revolute"><parent link="base"/><child link="l1"/><origin xyz="0 0 .1"/><axis xyz="0 1 0"/>
<limit lower="-1" upper="1" effort="2" velocity="3"/></joint><extra:tag/></robot>"""


def test_a_urdf_shows_its_visual_shapes_rather_than_those_of_collisions(tmp_path):
    file = tmp_path / "r.urdf"
    file.write_text(URDF)
    with pytest.warns(ModelWarning, match="package 'somewhere' is not known: give its folder with --package"):
        model = read_model(file)
    assert model.geom_group.tolist() == [1, 0]
    np.testing.assert_allclose(model.geom_size[0], [0.05, 0.1, 0.15])
    assert [model.body(i).name for i in range(model.nbody)] == ["world", "base", "l1"]


def test_the_meshes_of_a_package_are_found_where_it_is_said_to_be_or_above_the_file(tmp_path):
    meshes = tmp_path / "somewhere" / "meshes"
    meshes.mkdir(parents=True)
    corners_of = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "<f4")
    faces = corners_of[[[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]]
    triangles = np.zeros(4, [("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
    triangles["v"] = faces
    (meshes / "link.stl").write_bytes(b"\0" * 80 + np.uint32(4).tobytes() + triangles.tobytes())
    for place, packages in ((tmp_path / "r.urdf", {"somewhere": tmp_path / "somewhere"}), (meshes / "r.urdf", {})):
        place.write_text(URDF)
        assert read_model(place, packages).nmesh == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.xml", "", "MuJoCo does not load"),
        ("half.urdf", "<robot name='r'><link>", "is no URDF"),
        ("arm.urdf", "<robot xmlns:xacro='x'><xacro:macro name='m'/></robot>", "expand it first, with `xacro"),
        ("mesh.xml", "<mujoco><asset><mesh file='gone.stl'/></asset></mujoco>", "gone.stl"),
        ("twice.xml", "<mujoco><worldbody><geom name='a' size='1'/><geom name='a' size='1'/></worldbody></mujoco>",
         "repeated name 'a'"),
        ("none.urdf", URDF.replace("visual", "collision"), "meshes of collision shapes are missing"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path, name, text, message):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ModelError, match=message) as refusal:
        read_model(file)
    assert "\n" not in str(refusal.value)


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
    places, coords = corners(shape).round(5), numbers(shape.vertex_texcoords).reshape(-1, 2)
    for place, coord in zip(places, coords, strict=True):
        np.testing.assert_allclose(coord, said[tuple(place + 0.0)], atol=1e-6)
    pixels = numbers(shape.albedo_texture_buffer).reshape(16, 16, 3)
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


def test_a_robot_is_shown_as_it_was_read_beside_what_it_was_told_and_what_is_believed(tmp_path):
    xml = "<mujoco><worldbody><body name='arm'><joint name='j'/><geom size='.1'/></body></worldbody></mujoco>"
    layout = Layout(
        (
            Channel("angle", 1, -3.0, 3.0, "rad", labels=("j",)),
            Channel("load", 1, -1.0, 1.0, "share", labels=("j",)),
            Channel("wrist/rgb", 12, 0.0, 1.0, SHARE_OF_WHITE, (2, 2, 3)),
        )
    )
    file = tmp_path / "robot.rrd"
    stream = RobotStream(str(file), mujoco.MjModel.from_xml_string(xml), ["j"], layout, "arm", ("left", "right"))
    for k in range(2):
        values = {"angle": np.array([0.25]), "load": np.array([0.5]), "wrist/rgb": np.linspace(0, 1, 12)}
        stream.step(0.1 * k, np.array([0.75]), values, np.array([0.125, 0.875]))
    stream.event("over")
    stream.close()
    printed = subprocess.run(
        [Path(sys.executable).with_name("rerun"), "rrd", "print", "-vvv", file],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for path in (
        "/world/arm",
        "/angles/j/read",
        "/angles/j/told",
        "/readings/load/j",
        "/pictures/wrist",
        "/belief/right",
    ):
        assert path in printed
    for number in ("0.25", "0.75", "0.5", "0.875", "over"):
        assert number in printed


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


def test_visual_and_collision_meshes_of_one_name_are_two_meshes(tmp_path):
    corners_of = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "<f4")
    triangles = np.zeros(4, [("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
    for kind, size in (("visual", 1.0), ("collision", 0.1)):
        triangles["v"] = size * corners_of[[[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]]
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "base.stl").write_bytes(b"\0" * 80 + np.uint32(4).tobytes() + triangles.tobytes())
    inertial = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
    shapes = "".join(
        f'<{k}><geometry><mesh filename="{k}/base.stl"/></geometry></{k}>' for k in ("visual", "collision")
    )
    (tmp_path / "r.urdf").write_text(f'<robot name="r"><link name="base">{inertial}{shapes}</link></robot>')
    model = read_model(tmp_path / "r.urdf")
    assert model.nmesh == 2
    sizes = {int(model.geom_group[g]): float(model.geom_rbound[g]) for g in range(model.ngeom)}
    assert sizes[1] == pytest.approx(10 * sizes[0], rel=1e-3)
