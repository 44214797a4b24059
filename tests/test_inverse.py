"""Masses and friction from torques, against models whose parameters are known."""

import json

import mujoco
import numpy as np
import pytest

from embodied.errors import ModelError, OptionError, RecordingError, UnknownNameError
from embodied.sysid import Recording
from embodied.sysid.inverse import identify_inverse
from embodied.sysid.inverse.inertia import inertia_matrix, parameters_of, possible, pseudo_inertia, slopes, unbounded
from embodied.sysid.inverse.regressor import moving_bodies, regressor
from embodied_scripts.cli.identify import Bench, Identify

ARM = """<mujoco><compiler angle="radian"/><worldbody>
<body name="base"><geom type="box" size=".1 .1 .1" mass="9"/>
 <body name="a" pos=".1 .2 .3" euler=".3 .2 .5"><joint name="j1" axis=".2 .3 1" armature=".02" damping=".3"
   frictionloss=".2"/>
  <inertial pos=".1 .02 .03" mass="2" fullinertia=".05 .06 .07 .01 .005 .003"/>
  <body name="w" pos="0 .1 .2" euler=".5 0 .1"><geom type="box" size=".03 .04 .05" pos=".02 0 .1" mass=".7"/>
   <body name="b" pos=".3 .1 0" euler="0 .4 .1"><joint name="j2" type="{kind}" axis="1 .2 0" pos=".1 .1 0"
     damping=".5" frictionloss=".1"/>
    <inertial pos=".05 .2 .03" mass="1.2" diaginertia=".02 .03 .04" euler=".3 .2 .1"/>
    <body name="c" pos="0 0 .3"><joint name="j3" axis="0 1 0" pos="0 .1 .05" damping=".1" stiffness=".4"
      springref=".3"/>
     <geom type="capsule" size=".03" fromto="0 0 0 .2 .1 .05" mass=".6"/>{load}</body></body></body></body></body>
</worldbody></mujoco>"""
LOAD = '<geom type="box" size=".04 .03 .05" pos=".1 .05 .12" mass=".45"/>'
JOINTS = ["j1", "j2", "j3"]
RATE = 125.0


def arm(kind: str = "hinge", load: str = "") -> mujoco.MjSpec:
    return mujoco.MjSpec.from_string(ARM.format(kind=kind, load=load))


def torques(spec: mujoco.MjSpec, q: np.ndarray, v: np.ndarray, a: np.ndarray) -> np.ndarray:
    """MuJoCo's own inverse dynamics, with the friction of moving joints, `(T, 3)`."""
    model = spec.compile()
    loss = model.dof_frictionloss.copy()
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
    data, out = mujoco.MjData(model), np.empty_like(q)
    for t in range(len(q)):
        data.qpos[:], data.qvel[:], data.qacc[:] = q[t], v[t], a[t]
        mujoco.mj_inverse(model, data)
        out[t] = data.qfrc_inverse + loss * np.sign(v[t])
    return out


def log(spec: mujoco.MjSpec, seed: int, noise: float = 0.02, seconds: float = 20.0) -> Recording:
    """Waves of several frequencies, and the torques that they take."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    q, v, a = np.zeros((3, len(time), 3))
    for j in range(3):
        for f in rng.uniform(0.1, 1.2, 5):
            w, phase, size = 2 * np.pi * f, rng.uniform(0, 6), rng.uniform(0.1, 0.4)
            q[:, j] += size * np.sin(w * time + phase)
            v[:, j] += size * w * np.cos(w * time + phase)
            a[:, j] -= size * w * w * np.sin(w * time + phase)
    tau = torques(spec, q, v, a) + rng.normal(0, noise, q.shape)
    units = {"position": "rad", "torque": "N·m"}
    return Recording(5.0 + time, q + rng.normal(0, 1e-4, q.shape), {"position": q, "torque": tau}, units)


@pytest.mark.parametrize("kind", ["hinge", "slide"])
def test_the_regressor_times_the_models_parameters_is_mujocos_inverse_dynamics(kind):
    spec, model = arm(kind), arm(kind).compile()
    q, v, a = np.random.default_rng(0).normal(size=(3, 6, 3))
    bodies = moving_bodies(model, [0, 1, 2])
    assert [model.body(body).name for body in bodies] == ["a", "b", "c"]
    friction = np.stack([model.dof_frictionloss, model.dof_damping, model.dof_armature, np.zeros(3)], 1)
    known = np.concatenate([*(parameters_of(model, body) for body in bodies), friction.ravel()])
    found = regressor(model, JOINTS, bodies, q, v, a) @ known
    springs = model.jnt_stiffness * (q - model.qpos_spring)
    np.testing.assert_allclose(found + springs, torques(spec, q, v, a), atol=1e-12)


def test_numbers_without_bounds_are_bodies_that_can_exist_and_back():
    model = arm().compile()
    for body in (2, 4, 5):
        known = parameters_of(model, body)
        np.testing.assert_allclose(possible(unbounded(known)), known, rtol=1e-9, atol=1e-12)
    numbers = np.random.default_rng(2).normal(size=10)
    nudges = 1e-6 * np.eye(10)
    by_differences = [(possible(numbers + d) - possible(numbers - d)) / 2e-6 for d in nudges]
    np.testing.assert_allclose(slopes(numbers), np.transpose(by_differences), rtol=1e-6, atol=1e-7)
    for numbers in np.random.default_rng(1).normal(size=(20, 10)):
        body = possible(numbers)
        assert np.linalg.eigvalsh(pseudo_inertia(body)).min() > 0
        moments = np.linalg.eigvalsh(inertia_matrix(body))
        assert moments[0] + moments[1] > moments[2]


def test_what_torques_tell_of_an_arm_is_found_within_its_standard_errors():
    wrong = arm()
    for name, factor in (("a", 1.5), ("b", 0.6)):
        body = wrong.body(name)
        body.mass, body.inertia = body.mass * factor, body.inertia * factor
        body.fullinertia = body.fullinertia * factor
    wrong.joint("j1").damping = np.array([0.05, 0, 0])
    found = identify_inverse(wrong, JOINTS, [log(arm(), 0), log(arm(), 1)])
    friction = dict(zip(JOINTS, found.friction, strict=True))
    assert friction["j1"][0] == pytest.approx(0.2, abs=0.02)
    assert friction["j1"][1] == pytest.approx(0.3, abs=0.02)
    assert friction["j2"][1] == pytest.approx(0.5, abs=0.02)
    assert np.abs(friction["j3"][3]) < 0.02
    assert found.errors[1].max() < 0.2 * found.errors[0].max()
    assert found.errors[1].max() < 0.01  # filtered noise of 0.02
    for one in found.parameters:
        assert np.linalg.eigvalsh(pseudo_inertia(one)).min() > -1e-12
    names = list(found.base_names)
    off = (found.base[names.index("damping[j2]")] - 0.5) / found.standard_error[names.index("damping[j2]")]
    assert abs(off) < 3


def test_a_payload_is_weighed_and_its_center_is_found():
    found = identify_inverse(arm(), JOINTS, [log(arm(load=LOAD), 2)], payload="c")
    assert found.mass[0] == pytest.approx(0.45, rel=0.03)
    np.testing.assert_allclose(found.center[0], [0.1, 0.05, 0.12], atol=0.01)
    assert found.jsonable()["payload"]["c"]["mass"] == pytest.approx(found.mass[0])


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"joints": ["j1", "j9", "j3"]}, UnknownNameError, "j9"),
        ({"joints": ["j1", "j1", "j3"]}, OptionError, "every driven joint once"),
        ({"joints": ["j1"]}, RecordingError, "3 columns for 1 joints"),
        ({"payload": "hand"}, UnknownNameError, "hand"),
        ({"payload": "base"}, ModelError, "behind one of the joints"),
        ({"payload": "w"}, ModelError, "behind one of the joints"),
        ({"cutoff_hz": 0.0}, OptionError, "above 0 Hz"),
        ({"cutoff_hz": 150.0}, RecordingError, "lower the cutoff"),
        ({"cutoff_hz": 0.1}, RecordingError, "too short"),
        ({"torque": "effort"}, UnknownNameError, "effort"),
    ],
)
def test_what_cannot_be_found_is_refused(change, error, told):
    asked = {"joints": JOINTS} | change
    with pytest.raises(error, match=told):
        identify_inverse(arm(), asked.pop("joints"), [log(arm(), 0, seconds=4.0)], **asked)


def test_a_log_without_torques_is_refused():
    some = log(arm(), 0, seconds=4.0)
    bare = Recording(some.time_s, some.command, {"position": some.signal("position")})
    with pytest.raises(RecordingError, match="nothing in a recording is a torque"):
        identify_inverse(arm(), JOINTS, [bare])


def test_a_log_in_other_units_is_refused_and_the_same_once_converted():
    some = log(arm(load=LOAD), 2)
    degrees = {"position": np.degrees(some.signal("position")), "torque": 100 * some.signal("torque")}
    other = Recording(some.time_s, some.command, degrees, {"position": "deg", "torque": "N·cm"})
    with pytest.raises(RecordingError, match=r"position is in deg: simulate recording.in_si\(\)"):
        identify_inverse(arm(), JOINTS, [other], payload="c")
    found, again = (identify_inverse(arm(), JOINTS, [one], payload="c") for one in (some, other.in_si()))
    np.testing.assert_allclose(again.parameters, found.parameters, atol=1e-6)


def test_a_hand_that_carries_nothing_is_said_to():
    found = identify_inverse(arm(), JOINTS, [log(arm(), 3)], payload="c")
    assert found.mass[0] < 0.01
    assert np.all(found.errors[1] < 1.05 * found.errors[0])


def test_the_command_weighs_a_payload_and_writes_what_it_found(tmp_path, capsys):
    log(arm(load=LOAD), 2).save(tmp_path / "log.npz")
    (tmp_path / "arm.xml").write_text(arm().to_xml())
    Identify(
        Bench(tmp_path / "arm.xml", tuple(JOINTS)), (tmp_path / "log.npz",), inverse=True, payload="c",
        out=tmp_path / "found.json",
    ).run()  # fmt: skip
    told = json.loads((tmp_path / "found.json").read_text())
    assert told["payload"]["c"]["mass"] == pytest.approx(0.45, rel=0.03)
    assert "center of mass" in capsys.readouterr().out
    with pytest.raises(OptionError, match="leave out --find"):
        Identify(
            Bench(tmp_path / "arm.xml", tuple(JOINTS)), (tmp_path / "log.npz",), ("dof_damping",), inverse=True
        ).run()
