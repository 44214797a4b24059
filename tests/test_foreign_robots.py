"""What a robot's file brings along does not act unseen, and what is added to it is what was declared."""

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from embodied.errors import ModelError
from embodied.physics.batch import Batch
from embodied.physics.loading import read_model
from embodied.robot.actuators.motors import Thermal
from embodied.robot.actuators.spec import DCMotor, ForceMotor, Servo, TorqueMotor, VelocityMotor
from embodied.robot.batched import BatchedRobot
from embodied.robot.datasheet import read_bus_servo, read_gear_motor
from embodied.robot.rays.spec import RaySensor
from embodied.robot.robot import Robot
from embodied.robot.sensors.error_model import ErrorModel
from embodied.robot.sensors.presets import absolute_encoder, incremental_encoder
from embodied.robot.sensors.spec import Sensor, Source
from embodied.robot.timing import Timing
from embodied.seeding import WorldStreams
from embodied_assets import datasheet_path

POLOLU = read_gear_motor(datasheet_path("pololu_25d_47_hp12"))
XL330 = read_bus_servo(datasheet_path("xl330_m288"))
LEAKY = """<default><motor gear="100" ctrlrange="-.1 .1" forcerange="-.2 .2"/><position kp="77" ctrlrange="-.3 .3"/>
<general dyntype="filter" dynprm=".3" gear="5" actrange="-.1 .1" forcerange="-.1 .1"/>
<joint damping="3" stiffness="9" frictionloss="2" armature=".5" springref="1" range="-.1 .1" margin=".3"
 solreflimit=".5 1" actuatorfrcrange="-.05 .05"/></default>"""
ARM = """<mujoco><compiler angle="radian"/>{defaults}<worldbody><body name="base"><geom size=".02"/>
<site name="s" pos="0 0 .1"/><body name="link"><joint name="pan" axis="0 0 1" {joint}/>
<geom type="capsule" size=".02" fromto="0 0 0 .2 0 0" mass=".3"/>{inside}</body></body>{beside}</worldbody>
{actuators}{sensors}</mujoco>"""
PLAIN = 'damping=".1" armature=".01" stiffness="0" frictionloss="0" limited="false"'


def arm(folder: Path, actuators=(), sensors=(), **parts) -> Robot:
    """A robot of one link whose file has these parts."""
    text = {
        name: parts.pop(name, PLAIN if name == "joint" else "")
        for name in ("defaults", "joint", "inside", "beside", "actuators", "sensors")
    }
    if text["actuators"]:
        text["actuators"] = f"<actuator>{text['actuators']}</actuator>"
    if text["sensors"]:
        text["sensors"] = f"<sensor>{text['sensors']}</sensor>"
    file = folder / "arm.xml"
    file.write_text(ARM.format(**text))
    return Robot("arm", file, "base", tuple(sensors), (), tuple(actuators), **parts)


def placed(robot: Robot, n: int = 1, tick: float = 0.002, scene: str = "<mujoco/>") -> tuple[Batch, BatchedRobot]:
    """The robot in N worlds, at the beginning of an episode."""
    spec = mujoco.MjSpec.from_string(scene)
    spec.option.timestep, spec.option.integrator = tick, mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.attach(robot.build(tick), prefix="r/", frame=spec.worldbody.add_frame())
    streams = WorldStreams(n)
    streams.seed(0)
    streams.begin()
    batch = Batch(spec.compile(), n)
    body = BatchedRobot(robot, batch, streams, "r/", 10 * tick)
    batch.reset()
    body.begin(np.arange(n))
    batch.forward()
    body.initialize_history(np.arange(n))
    return batch, body


def drive(batch: Batch, body: BatchedRobot, command: float, decisions: int) -> np.ndarray:
    """Holds a command; returns what was sensed last, `(N, …)`."""
    out = np.zeros((batch.n, body.robot.layout.size))
    for step in range(1, decisions + 1):
        now = np.full(batch.n, step)
        actions = np.full((batch.n, len(body.robot.actuators)), command)
        body.command(actions, now, slice(None))
        body.advance(now)
        body.sense(out, now)
    return out


TORQUE = TorqueMotor("motor", "pan", 1.0)
KINDS = [
    TORQUE,
    DCMotor("motor", "pan", POLOLU),
    VelocityMotor("motor", "pan", POLOLU, top_speed=5.0),
    Servo("motor", "pan", XL330),
]


@pytest.mark.parametrize("motor", KINDS, ids=lambda motor: type(motor).__name__)
def test_a_motor_acts_the_same_whatever_the_default_classes_of_its_file_say(tmp_path, motor):
    plain, leaky = tmp_path / "plain", tmp_path / "leaky"
    tracks = []
    for folder, defaults in ((plain, ""), (leaky, LEAKY)):
        folder.mkdir()
        free = PLAIN + ' actuatorfrclimited="false" range="0 0" margin="0" springref="0" solreflimit=".02 1"'
        batch, body = placed(arm(folder, [motor], defaults=defaults, joint=free))
        drive(batch, body, 0.7, 20)
        tracks.append(np.concatenate([batch.array("qpos"), batch.array("qvel"), batch.array("actuator_force")], 1))
    np.testing.assert_array_equal(tracks[0], tracks[1])


def test_a_torque_of_1_is_1_newton_meter(tmp_path):
    model = arm(tmp_path, [TORQUE], defaults=LEAKY).build(0.005).compile()
    data = mujoco.MjData(model)
    data.ctrl[:] = 1.0
    mujoco.mj_forward(model, data)
    assert data.qfrc_actuator[0] == pytest.approx(1.0, abs=1e-12)


def test_a_backlash_is_loose_whatever_the_default_classes_say(tmp_path):
    motor = Servo("motor", "pan", replace(XL330, backlash=0.02))
    model = arm(tmp_path, [motor], defaults=LEAKY).build(0.002).compile()
    loose = model.joint("pan_backlash")
    assert (loose.stiffness[0], model.dof_damping[loose.dofadr[0]], model.dof_frictionloss[loose.dofadr[0]]) == (
        0,
        0,
        0,
    )
    assert loose.range == pytest.approx([-0.01, 0.01])
    assert loose.margin[0] == 0.0


def test_declared_actuators_take_the_place_of_those_of_the_file_with_what_reads_them(tmp_path):
    file = tmp_path / "arm.xml"
    file.write_text(
        ARM.format(
            defaults="", joint=PLAIN, inside="", beside="",
            actuators='<actuator><position name="holder" joint="pan" kp="900"/></actuator>',
            sensors='<sensor><actuatorpos name="a" actuator="holder"/><jointpos name="j" joint="pan"/></sensor>'
            '<keyframe><key ctrl="0.3"/></keyframe>',
        )
    )  # fmt: skip
    robot = Robot("arm", file, "base", (), (), (TORQUE,))
    model = robot.build(0.005).compile()
    assert [model.actuator(i).name for i in range(model.nactuator)] == ["motor"]
    assert [model.sensor(i).name for i in range(model.nsensor)] == ["j"]
    batch, body = placed(robot)
    drive(batch, body, 1.0, 10)
    assert batch.array("qvel")[0, 0] > 1.0


UNSEEN = {
    "joint": ('<body><joint name="other"/><geom size=".02"/></body>', '<position name="own" joint="other" kp="9"/>'),
    "tendon": ("", '<motor name="own" tendon="t"/>'),
    "site": ("", '<motor name="own" site="s" gear="1 0 0 0 0 0"/>'),
    "body": ("", '<adhesion name="own" body="link" ctrlrange="0 1"/>'),
}


@pytest.mark.parametrize("kind", UNSEEN)
def test_actuators_that_would_act_unseen_are_named_or_kept_when_asked_for(tmp_path, kind):
    beside, own = UNSEEN[kind]
    tendon = '<tendon><fixed name="t"><joint joint="pan" coef="1"/></fixed></tendon>' if kind == "tendon" else ""
    file = tmp_path / "arm.xml"
    file.write_text(
        ARM.format(
            defaults="", joint=PLAIN, inside="", beside=beside, actuators=f"{tendon}<actuator>{own}</actuator>",
            sensors="",
        )
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"own \(on .*keep_actuators"):
        Robot("arm", file, "base", (), (), (TORQUE,))
    model = Robot("arm", file, "base", (), (), (TORQUE,), keep_actuators=("o*",)).build(0.005).compile()
    assert [model.actuator(i).name for i in range(model.nactuator)] == ["own", "motor"]


def test_controls_are_counted_as_controls(tmp_path):
    file = tmp_path / "arm.xml"
    beside = '<body><joint name="other" axis="0 1 0"/><geom size=".05" pos=".2 0 0"/></body>'
    own = '<actuator><pid name="own" joint="other" kp="20" kv="2" input="pos vel ff"/></actuator>'
    file.write_text(ARM.format(defaults="", joint=PLAIN, inside="", beside=beside, actuators=own, sensors=""))
    batch, body = placed(Robot("arm", file, "base", (), (), (TORQUE,), keep_actuators=("own",)))
    assert (batch.model.nu, batch.model.nactuator) == (4, 2)
    drive(batch, body, 0.5, 1)
    np.testing.assert_allclose(batch.array("ctrl")[0], [0, 0, 0, 0.5])


@pytest.mark.parametrize(
    ("kind", "parts", "message"),
    [
        ("slide", {"actuators": (TORQUE,)}, "made for a hinge joint, but 'pan' is a slide joint"),
        ("ball", {"actuators": (TORQUE,)}, "made for a hinge joint, but 'pan' is a ball joint"),
        ("hinge", {"actuators": (ForceMotor("push", "pan", 3.0),)}, "made for a slide joint"),
        ("slide", {"sensors": (absolute_encoder("e", "pan", 4096),)}, "'e' is made for a hinge joint"),
        ("ball", {"sensors": (incremental_encoder("e", ("pan",), 4096, 1.0),)}, "'pan' is a ball joint"),
    ],
)
def test_motors_and_encoders_fit_their_joints(tmp_path, kind, parts, message):
    file = tmp_path / "arm.xml"
    joint = f'{PLAIN.replace("limited", "actuatorfrclimited")} type="{kind}"'
    joint = joint.replace(' armature=".01" stiffness="0" frictionloss="0"', "")
    file.write_text(ARM.format(defaults="", joint=joint, inside="", beside="", actuators="", sensors=""))
    with pytest.raises(ModelError, match=message):
        Robot("arm", file, "base", parts.get("sensors", ()), (), parts.get("actuators", ()))


def test_a_force_motor_pushes_a_slide_joint(tmp_path):
    file = tmp_path / "arm.xml"
    file.write_text(
        ARM.format(defaults="", joint=f'{PLAIN} type="slide"', inside="", beside="", actuators="", sensors="")
    )
    batch, body = placed(Robot("arm", file, "base", (), (), (ForceMotor("push", "pan", 3.0),)))
    drive(batch, body, -1.0, 1)
    assert batch.array("qfrc_actuator")[0, 0] == pytest.approx(-3.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no model at"),
        ("<mujoco><worldbody><body name='base'>", "MuJoCo does not load"),
        (ARM.format(defaults="", joint=PLAIN, inside="", beside="<body name='link'/>", actuators="", sensors=""),
         "repeated name 'link'"),
    ],
)  # fmt: skip
def test_a_missing_or_broken_file_is_one_error(tmp_path, text, message):
    file = tmp_path / "arm.xml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ModelError, match=message):
        Robot("arm", file, "base", (), (), (TORQUE,))


def test_a_robot_can_be_a_urdf_with_its_links_by_name(tmp_path):
    file = tmp_path / "arm.urdf"
    inertial = (
        '<inertial><mass value="1"/><inertia ixx=".01" iyy=".01" izz=".01" ixy="0" ixz="0" iyz="0"/></inertial>'
        '<visual><geometry><mesh filename="package://gone/a.dae"/></geometry></visual>'
    )
    file.write_text(
        f'<robot name="r"><link name="base">{inertial}</link><link name="l">{inertial}</link><joint name="pan"'
        ' type="revolute"><parent link="base"/><child link="l"/><axis xyz="0 0 1"/>'
        '<limit lower="-1" upper="1" effort=".2" velocity="3"/></joint></robot>'
    )
    with pytest.warns(UserWarning, match="left out"):
        model = Robot("arm", file, "base", (), (), (TORQUE,)).build(0.002).compile()
    data = mujoco.MjData(model)
    data.ctrl[0] = 1.0
    mujoco.mj_forward(model, data)
    assert data.qfrc_actuator[0] == pytest.approx(1.0)  # the declared motor, not the effort of the URDF


MENAGERIE_LIKE = """<mujoco><worldbody><body name="post" pos="1 0 .1"><geom type="box" size=".1 .2 .3" group="3"/>
<geom type="box" size=".04 .2 .3" group="2" contype="0" conaffinity="0"/></body></worldbody></mujoco>"""


@pytest.mark.parametrize(("groups", "expected"), [(None, 0.96), ((3,), 0.9), ((0, 2, 3), 0.9), ((0,), 3.0)])
def test_rays_meet_what_is_drawn_unless_another_choice_is_declared(tmp_path, groups, expected):
    choice = {} if groups is None else {"groups": groups}
    ray = RaySensor("ray", "s", "base", 1, 0.1, range_noise=0.0, dropout=0.0, **choice)
    batch, body = placed(arm(tmp_path, [TORQUE], range_finders=(ray,)), scene=MENAGERIE_LIKE)
    seen = drive(batch, body, 0.0, 1)[0]
    np.testing.assert_allclose(seen, [expected, float(expected < 3.0)], atol=1e-6)


def test_groups_that_mujoco_does_not_have_are_refused():
    with pytest.raises(ModelError, match="from 0 to 5"):
        RaySensor("ray", "s", "base", groups=(6,))


RANGE = '<rangefinder name="rf" site="s" cutoff="{cutoff}"/>'


@pytest.mark.parametrize(
    ("wall", "cutoff", "expected", "valid"),
    [(None, 0.0, 4.0, False), (1.0, 0.0, 0.8, True), (1.0, 0.5, 4.0, False), (9.0, 0.0, 4.0, False)],
)
def test_a_range_finder_that_meets_nothing_reads_its_limit_and_is_not_valid(tmp_path, wall, cutoff, expected, valid):
    sensor = Sensor("range", ("rf",), "m", 4.0, ErrorModel(noise=0.01, bias=0.02, scale=0.01), valid=True)
    beside = "" if wall is None else f'<geom type="box" size="1 1 .1" pos="0 0 {wall}"/>'
    file = tmp_path / "arm.xml"
    sensors = f"<sensor>{RANGE.format(cutoff=cutoff)}</sensor>"
    file.write_text(ARM.format(defaults="", joint=PLAIN, inside="", beside=beside, actuators="", sensors=sensors))
    robot = Robot("arm", file, "base", (sensor,), (), (TORQUE,))
    batch, body = placed(robot, n=50)
    seen = drive(batch, body, 0.0, 2)
    assert (seen[:, 1] == valid).all()
    if valid:
        assert 0.7 < seen[:, 0].min() < seen[:, 0].max() < 0.9
    else:
        assert (seen[:, 0] == expected).all()


def test_a_range_finder_can_be_added_and_reads_no_negative_range(tmp_path):
    source = Source(mujoco.mjtSensor.mjSENS_RANGEFINDER, mujoco.mjtObj.mjOBJ_SITE, "s")
    sensor = Sensor("near", (source,), "m", 4.0, ErrorModel(noise=0.5))
    file = tmp_path / "arm.xml"
    beside = '<geom type="box" size="1 1 .1" pos="0 0 .3"/>'
    file.write_text(ARM.format(defaults="", joint=PLAIN, inside="", beside=beside, actuators="", sensors=""))
    batch, body = placed(Robot("arm", file, "base", (sensor,), (), (TORQUE,)), n=100)
    seen = drive(batch, body, 0.0, 1)
    assert seen.min() == 0.0
    assert 0.0 < np.median(seen) < 1.0


def test_a_file_s_own_delay_of_a_sensor_does_not_act_beside_the_declared_timing(tmp_path):
    file = tmp_path / "arm.xml"
    sensors = '<sensor><jointpos name="j" joint="pan" delay=".05" nsample="40" interp="linear"/></sensor>'
    file.write_text(ARM.format(defaults="", joint=PLAIN, inside="", beside="", actuators="", sensors=sensors))
    for timing, lag in ((Timing(), 0.0), (Timing(latency_s=0.02), 0.02)):
        sensor = Sensor("angle", ("j",), "rad", 9.0, timing=timing)
        batch, body = placed(Robot("arm", file, "base", (sensor,), (), (TORQUE,)))
        batch.array("qvel")[:] = 1.0
        batch.model.dof_damping[:] = 0.0
        seen = drive(batch, body, 0.0, 6)[0, 0]
        speed = batch.array("qvel")[0, 0]
        assert batch.array("qpos")[0, 0] - seen == pytest.approx(lag * speed, abs=1e-3)


def test_a_motor_that_can_get_hot_is_as_hot_as_the_current_that_acted_made_it(tmp_path):
    motor = DCMotor("motor", "pan", replace(POLOLU, thermal=Thermal(10.0, 5.0)))
    heats = []
    for tick in (0.01, 0.0005):
        batch, body = placed(arm(tmp_path, [motor]), tick=tick)
        drive(batch, body, 1.0, round(0.5 / (10 * tick)))
        power = body.actuators.power
        heats.append([power.electrical[0], power.heat[0], power.mechanical[0], power.heating[0, 0]])
    np.testing.assert_allclose(heats[0], heats[1], rtol=0.01)


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        ('<option timestep="0"/>', "time step of 0 s"),
        ('<option timestep="-0.002"/>', "time step of -0.002 s"),
        ('<option timestep="1e-300"/>', "time step of 1e-300 s"),
        (
            "<worldbody><replicate count='1000'><replicate count='1000'><geom/></replicate></replicate></worldbody>",
            "elem",
        ),
        (
            "<worldbody><composite type='cable' count='1000000 1 1' size='1'/></worldbody>",
            "<composite> '' is of 1000000",
        ),
        ("<asset><hfield name='hills' nrow='100000' ncol='100000' size='1 1 1 1'/></asset>", "<hfield> 'hills' is of"),
        ("<worldbody><flexcomp name='f' type='grid' count='999 999 999' dim='3'/></worldbody>", "<flexcomp> 'f' is of"),
    ],
)
def test_models_in_which_no_time_passes_or_that_are_too_large_to_be_built_are_refused_at_once(tmp_path, xml, why):
    for name in ("part.xml", "whole.xml"):
        inner = xml if name == "part.xml" else "<include file='part.xml'/>"
        (tmp_path / name).write_text(f"<mujoco>{inner}</mujoco>")
        with pytest.raises(ModelError, match=why):
            read_model(tmp_path / name)
