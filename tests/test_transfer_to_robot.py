"""From a robot on a port to a policy for it, and what randomization is worth there."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import embodied_assets as assets
from embodied.deploy.twin.body import BodyTruth, TwinBody
from embodied.deploy.twin.mystery import mystery
from embodied.errors import OptionError, UnknownNameError
from embodied.randomization.distributions import Correlated
from embodied.randomization.spec import Randomization
from embodied.sysid import Fit
from embodied_envs.arm.so101 import HAND_MASS, TERMS, servo_randomization, so101
from embodied_envs.arm.tabletop import table
from embodied_scripts.cli.main import main
from embodied_scripts.deploying.robots import UPRIGHT
from embodied_scripts.deploying.twins import TwinProcess
from embodied_scripts.studies.deployment import arm_transfer

FIT = Fit.from_jsonable(json.loads(assets.posterior_path("so101").read_text()))


def test_a_fit_becomes_a_randomization_in_the_robots_own_terms() -> None:
    (term,) = servo_randomization(FIT, widen=3.0).terms
    assert isinstance(term.by, Correlated)
    assert term.names == tuple(TERMS[name] for name in FIT.names)
    at = {name: k for k, name in enumerate(FIT.names)}
    stiffness, damping, latency = (at[name] for name in ("stiffness", "dof_damping", "latency_s"))
    servo = so101(10.0).actuators[0].servo
    assert term.by.mean[stiffness] == pytest.approx(FIT.estimate[stiffness] / servo.stall_torque)
    assert term.by.mean[damping] == pytest.approx(
        FIT.estimate[damping] - servo.motor_constant**2 / servo.resistance, abs=1e-9
    )
    assert term.by.mean[latency] == FIT.estimate[latency]
    spread = np.sqrt(np.diag(term.by.covariance))
    assert spread[latency] == pytest.approx(3 * FIT.standard_error[latency])
    assert spread[stiffness] == pytest.approx(3 * FIT.standard_error[stiffness] / servo.stall_torque)
    slow = FIT.estimate.copy()
    slow[latency] = 0.04
    (late,) = servo_randomization(replace(FIT, estimate=slow, high=FIT.high + 1.0)).terms
    assert late.by.high[latency] == 0.045
    gym.make_vec("embodied/Heft-v0", num_envs=8, randomize=Randomization((late,))).reset(seed=0)
    slow[latency] = 0.05
    with pytest.raises(OptionError, match="commands are"):
        servo_randomization(replace(FIT, estimate=slow))
    with pytest.raises(OptionError, match="widen"):
        servo_randomization(FIT, widen=0.0)
    with pytest.raises(UnknownNameError, match="gravity"):
        servo_randomization(replace(FIT, names=("gravity", *FIT.names[1:])))


def test_the_truth_of_a_body_is_a_randomization_that_leaves_nothing_open() -> None:
    robot = so101(10.0)
    body = mystery(TwinBody(table(), robot, BodyTruth.of(robot)), 4)
    what = {term.names[0]: term for term in arm_transfer.truth(4).terms}
    assert what[HAND_MASS].how == "add"
    assert what[HAND_MASS].by.values == (body.payload,)
    servo = robot.actuators[2].servo
    shares = np.asarray(body.duty_per_count)[2] * 16 * 4096 / (2 * np.pi)  # of the supply per radian, with LeRobot's P
    assert servo.gain == 16
    assert what["elbow_flex_servo/stiffness"].by.values == pytest.approx((shares,))
    assert what["gripper_servo/load_friction"].by.values == pytest.approx((np.asarray(body.load_friction)[5],))
    assert what["shoulder_pan_servo/latency_s"].by.values == (body.latency_s,)
    assert what["battery/charge"].by.values == pytest.approx((body.supply - 11.0,))
    assert len(what) == 2 + 7 * 6


def test_a_share_of_the_truth_is_of_the_same_bodies() -> None:
    rows = [{"seed": k, "success": 0.5 + 0.1 * k, "episodes": 100} for k in range(4)]
    best = [{"seed": k, "success": 1.0, "episodes": 100} for k in range(1, 4)]
    share = arm_transfer._share(rows, best)
    assert share.startswith("0.70 (")
    low, high = map(float, share[share.index("(") + 1 : -1].split(" to "))
    assert 0.55 < low < 0.7 < high < 0.85
    assert arm_transfer._share(rows, []) == ""


@pytest.mark.slow
def test_one_command_goes_from_a_robot_to_a_report_and_keeps_what_is_finished(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", open("/dev/null"))  # noqa: SIM115
    run = tmp_path / "run"
    run.mkdir()
    (run / "fit.json").write_text(json.dumps(FIT.jsonable()))  # in place of minutes of fitting
    with TwinProcess(["so101", "--mystery", "3"], tmp_path) as twin:
        short = ["--seconds", "2.5", "--steps", "128", "--n-envs", "2", "--threads", "1"]
        asked = ["transfer", "Feel-v0", "--port", twin.port, "--run", str(run), *short, "--deploy-s", "1"]
        main([*asked[:-1], "0"])
        motions = [(run / f"motion-{k}.npz").stat().st_mtime_ns for k in range(3)]
        angles = [angle for _, _, numbers in twin.order(written=0.0)["written"] for angle in numbers]
        assert "goal_position" in angles
        with pytest.raises(SystemExit):
            main(asked)
        assert "not what the policy was trained for: latency" in capsys.readouterr().err  # this body's is 32 ms
        main([*asked, "--force"])
        with pytest.raises(SystemExit):
            main([*asked[:1], "Heft-v0", *asked[2:]])
    assert "is of a transfer with target Feel-v0, not Heft-v0" in capsys.readouterr().err
    assert [(run / f"motion-{k}.npz").stat().st_mtime_ns for k in range(3)] == motions
    saved = Randomization.load(run / "randomization.json")
    assert saved.terms[0] == servo_randomization(FIT, widen=2.0).terms[0]
    assert [term.names for term in saved.terms[1:]] == [("battery/charge",), (HAND_MASS,)]
    low, high = saved.terms[1].by.low, saved.terms[1].by.high
    assert low < 11.33 - 11.0 < high  # this body's supply has 11.33 V, of 11 to 12 that the arm's has
    page = (run / "report.html").read_text()
    for part in ("Measured", "latency of commands", "Identified", "mrad", "Trained under", "*_servo/stiffness"):
        assert part in page
    assert page.count("<polyline") >= 12  # read and told, of six joints
    assert np.abs(UPRIGHT).max() < 1.6


def test_a_transfer_of_nothing_is_refused(tmp_path) -> None:
    with pytest.raises(SystemExit):
        main(["transfer", "Feel-v0", "--port", "x", "--run", str(tmp_path), "--seconds", "0"])
