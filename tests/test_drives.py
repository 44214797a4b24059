"""Commands arrive when declared, batteries sag, motors heat up and stick, and energy is accounted for."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

import embodied_assets as assets
from embodied.errors import ModelError, UnknownNameError
from embodied.physics.batch import Batch
from embodied.robot.actuators.battery import Battery
from embodied.robot.actuators.motors import LuGre, Thermal
from embodied.robot.actuators.spec import Actuator, DCMotor, Servo, TorqueMotor, VelocityMotor
from embodied.robot.batched import BatchedRobot
from embodied.robot.datasheet import read_battery, read_bus_servo, read_gear_motor, read_servo
from embodied.robot.robot import Robot
from embodied.robot.sensors.presets import battery_voltage, motor_current
from embodied.robot.timing import Timing
from embodied.seeding import WorldStreams

TICK, TICKS = 0.002, 10
POLOLU = read_gear_motor(assets.datasheet_path("pololu_25d_47_hp12"))
XL330 = read_bus_servo(assets.datasheet_path("xl330_m288"))
MACHINE = """<mujoco><worldbody><body name="base"><freejoint/><geom size=".05" mass="1000"/>
<body name="rotor" pos="0 0 1"><joint name="shaft" axis="0 0 1"/>
<geom type="capsule" size=".01" fromto="0 0 0 .1 0 0" mass=".05"/></body></body></worldbody></mujoco>"""


class Bench:
    """A weightless machine with one shaft, in N worlds."""

    def __init__(self, folder, actuator: Actuator, n: int = 1, decision_ticks: int = TICKS, **parts) -> None:
        file = folder / "machine.xml"
        file.write_text(MACHINE)
        self.robot = Robot("machine", file, "base", parts.pop("sensors", ()), (), (actuator,), **parts)
        streams = WorldStreams(n)
        streams.seed(0)
        streams.begin()
        scene = mujoco.MjSpec()
        scene.option.timestep, scene.option.gravity = TICK, [0, 0, 0]
        scene.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        scene.attach(self.robot.build(TICK), prefix="robot/", frame=scene.worldbody.add_frame())
        self.batch = Batch(scene.compile(), n)
        self.body = BatchedRobot(self.robot, self.batch, streams, "robot/", decision_ticks * TICK)
        shaft = self.batch.model.joint("robot/shaft")
        self._qpos, self._qvel = int(shaft.qposadr[0]), int(shaft.dofadr[0])
        self.step = np.zeros(n, int)
        self.reset()

    def reset(self) -> None:
        worlds = np.arange(self.batch.n)
        self.step[:] = 0
        self.batch.reset()
        self.body.begin(worlds)
        self.batch.forward()
        self.body.initialize_history(worlds)
        self.sense()

    def run(self, command: float, decisions: int = 1) -> None:
        for _ in range(decisions):
            self.step += 1
            self.body.command(np.full((self.batch.n, 1), command), self.step, slice(None))
            self.body.advance(self.step)
            self.observed = self.sense()

    def sense(self) -> np.ndarray:
        out = np.zeros((self.batch.n, self.robot.layout.size))
        self.body.sense(out, self.step)
        return out

    @property
    def speed(self) -> np.ndarray:
        return self.batch.array("qvel")[:, self._qvel]

    @property
    def angle(self) -> np.ndarray:
        return self.batch.array("qpos")[:, self._qpos]

    def load(self, torque: float) -> None:
        self.batch.array("qfrc_applied")[:, self._qvel] = torque

    @property
    def power(self):
        return self.body.actuators.power


def first_motion(bench: Bench, ticks: int = 60) -> np.ndarray:
    """Ticks until each world's shaft moves under a command given at once, with one decision per tick."""
    moved = np.full(bench.batch.n, -1)
    for tick in range(ticks):
        bench.run(1.0)
        moved[(moved < 0) & (bench.speed > 0)] = tick
    return moved


@pytest.mark.parametrize("latency", [0.0, 0.01, 0.03])
def test_a_command_works_after_the_declared_latency(tmp_path, latency):
    bench = Bench(tmp_path, TorqueMotor("motor", "shaft", 0.1, command=Timing(latency_s=latency)), decision_ticks=1)
    bench.run(0.0, 5)
    assert first_motion(bench) * TICK == pytest.approx(latency, abs=TICK / 2)


def test_every_world_can_have_another_command_latency(tmp_path):
    motor = TorqueMotor("motor", "shaft", 0.1, command=Timing(latency_s=0.02))
    bench = Bench(tmp_path, motor, n=4, decision_ticks=1)
    bench.body.parameter("motor/latency_s")[:, 0] = [0.0, 0.01, 0.02, 0.04]
    bench.reset()
    assert first_motion(bench) * TICK == pytest.approx([0.0, 0.01, 0.02, 0.04], abs=TICK / 2)


def test_commands_jitter_as_declared(tmp_path):
    motor = TorqueMotor("motor", "shaft", 0.1, command=Timing(latency_s=0.05, jitter_s=0.008))
    bench = Bench(tmp_path, motor, n=1000, decision_ticks=60)
    prompt = Bench(tmp_path, TorqueMotor("motor", "shaft", 0.1), decision_ticks=60)
    bench.run(1.0)
    prompt.run(1.0)
    late = 60 * TICK * (1 - bench.speed / prompt.speed)
    assert late.mean() == pytest.approx(0.05, abs=TICK)
    assert late.std() == pytest.approx(0.008, abs=TICK / 2)


@pytest.mark.parametrize(("latency", "jitter"), [(0.03, 0.008), (0.05, 0.0), (0.012, 0.006)])
def test_commands_never_run_backwards_and_come_after_their_latency(tmp_path, latency, jitter):
    motor = TorqueMotor("motor", "shaft", 1.0, command=Timing(latency_s=latency, jitter_s=jitter))
    bench = Bench(tmp_path, motor, n=200)
    torque, commands = bench.batch.array("actuator_force"), np.linspace(0.01, 0.3, 30)
    worked = []
    for command in commands:
        bench.step += 1
        bench.body.command(np.full((200, 1), command), bench.step, slice(None))
        bench.body.actuators.control_tick((bench.step - 1) * TICKS, slice(None))
        for _ in range(TICKS):
            bench.batch.step(1)
            worked.append(torque[:, 0].copy())
    worked = np.array(worked)
    assert (np.diff(worked, axis=0) >= -1e-12).all()
    given = np.repeat(commands, TICKS)[:, None]
    rate = (commands[1] - commands[0]) / (TICKS * TICK)
    behind = ((given - worked)[5 * TICKS :] / rate).mean()
    assert behind == pytest.approx(latency, abs=0.004)


def test_a_servo_with_a_dead_band_and_a_latency_gets_where_it_is_sent_in_time(tmp_path):
    moved = {}
    for band in (0.0, 0.01):
        servo = replace(XL330, deadband=band, gain=800.0)
        motor = Servo("servo", "shaft", servo, half_range=1.0, command=Timing(latency_s=0.012))
        bench = Bench(tmp_path, motor)
        bench.run(0.5)
        moved[band] = bench.angle[0]
        bench.run(0.5, 100)
        assert bench.angle[0] == pytest.approx(0.5, abs=band + 1e-3)
    assert moved[0.01] == pytest.approx(moved[0.0], rel=0.05)


def test_an_actuator_takes_commands_at_its_rate(tmp_path):
    motor = TorqueMotor("motor", "shaft", 0.1, command=Timing(rate_hz=50.0))
    bench = Bench(tmp_path, motor, decision_ticks=1)
    bench.run(0.0, 3)  # the next command is taken at tick 10
    assert first_motion(bench) == 7


def test_a_lost_command_leaves_the_actuator_with_the_one_before(tmp_path):
    motor = TorqueMotor("motor", "shaft", 0.1, command=Timing(dropout=0.25))
    bench = Bench(tmp_path, motor, n=4000)
    bench.run(1.0)
    assert (bench.speed > 0).mean() == pytest.approx(0.75, abs=0.02)


def test_a_command_latency_beyond_the_buffer_is_refused_when_the_episode_begins(tmp_path):
    bench = Bench(tmp_path, TorqueMotor("motor", "shaft", 0.1, command=Timing(latency_s=0.02)))
    bench.body.parameter("motor/latency_s")[:] = 2.0
    with pytest.raises(ModelError, match=r"commands of 'motor' are up to 2 s late, beyond the buffer"):
        bench.reset()


def test_commands_faster_than_the_physics_are_refused_when_the_robot_is_built(tmp_path):
    with pytest.raises(ModelError, match="1000 Hz is above the 500 Hz"):
        Bench(tmp_path, TorqueMotor("motor", "shaft", 0.1, command=Timing(rate_hz=1000.0)))


def test_a_battery_sags_under_the_current_and_the_voltmeter_sees_it(tmp_path):
    supply = Battery("weak", (12.0, 12.0), resistance=0.5, capacity=1e6)
    sensors = (battery_voltage("volts", 20.0), motor_current("amps", ("motor",), 20.0))
    bench = Bench(tmp_path, DCMotor("motor", "shaft", POLOLU), battery=supply, sensors=sensors)
    bench.load(-0.5)
    bench.run(1.0, 100)
    volts, amps = bench.observed[0]
    assert amps > 1.0
    assert volts == pytest.approx(12.0 - 0.5 * amps, rel=1e-3)  # at full duty the pack gives what the winding takes
    assert amps == pytest.approx((volts - POLOLU.motor_constant * bench.speed[0]) / POLOLU.resistance, rel=1e-3)


def test_a_battery_runs_down_by_the_charge_that_was_drawn(tmp_path):
    supply = Battery("small", (9.0, 12.0), resistance=0.01, capacity=60.0, electronics=12.0)
    bench = Bench(tmp_path, DCMotor("motor", "shaft", POLOLU), battery=supply, n=2)
    bench.body.parameter("battery/charge")[:, 0] = [1.0, 0.5]
    bench.reset()
    assert bench.power.bus_voltage == pytest.approx([12.0, 10.5])
    bench.run(0.0, 250)  # five seconds of about an ampere, of sixty coulombs
    assert 1.0 - bench.power.charge[0] == pytest.approx(5 / 60, rel=0.03)


def test_a_fuller_battery_makes_a_motor_faster_and_a_regulated_servo_does_not_care(tmp_path):
    pack = read_battery(assets.datasheet_path("inr18650_25r"), series=3)
    speeds = []
    for actuator in (DCMotor("motor", "shaft", POLOLU), Servo("servo", "shaft", XL330, half_range=1e3)):
        bench = Bench(tmp_path, actuator, battery=pack, n=2)
        bench.body.parameter("battery/charge")[:, 0] = [1.0, 0.2]
        bench.reset()
        bench.run(1.0, 100)
        speeds.append(bench.speed / bench.speed[0])
    assert speeds[0][1] < 0.88
    assert speeds[1] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("ticks", [1, 10, 50])
def test_the_energy_of_a_robot_balances_within_one_per_cent_however_often_it_decides(tmp_path, ticks):
    supply = Battery("pack", (11.0, 12.5), resistance=0.2, capacity=9000.0, electronics=2.0)
    motor = replace(POLOLU, no_load_current=0.0)
    bench = Bench(tmp_path, DCMotor("motor", "shaft", motor), decision_ticks=ticks, battery=supply)
    steps = 400 // ticks
    for k in range(steps):
        bench.run(1.0 if k < steps // 2 else 0.3)  # a start against all inertia, and braking
    stored = 0.5 * _inertia(bench) * bench.speed[0] ** 2
    c = bench.power
    assert c.electrical[0] == pytest.approx(c.heat[0] + c.mechanical[0], rel=1e-9)
    assert c.mechanical[0] == pytest.approx(stored, abs=0.01 * c.electrical[0])
    assert c.regenerated[0] > 0


def test_the_charge_that_is_drawn_does_not_depend_on_how_often_it_is_looked_at(tmp_path):
    used = []
    for power_update_s in (TICK, 0.1):
        supply = Battery("pack", (12.0, 12.0), resistance=0.01, capacity=9000.0)
        bench = Bench(
            tmp_path,
            DCMotor("motor", "shaft", POLOLU),
            decision_ticks=50,
            battery=supply,
            power_update_s=power_update_s,
        )
        for k in range(10):
            bench.run(1.0 if k % 2 else -1.0)
        used.append(1 - bench.power.charge[0])
    assert used[1] == pytest.approx(used[0], rel=0.05)


def _inertia(bench: Bench) -> float:
    model = bench.batch.model
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    return full[bench._qvel, bench._qvel]


def test_within_its_dead_band_a_servo_does_nothing(tmp_path):
    band = 0.02
    bench = Bench(tmp_path, Servo("servo", "shaft", replace(XL330, deadband=band, gain=800.0), half_range=1.0))
    bench.run(0.015)
    assert bench.angle[0] == pytest.approx(0.0, abs=1e-6)
    bench.load(0.01)  # pushed against where it wants to be: it gives way within the band and holds at its end
    bench.run(0.0, 200)
    assert bench.angle[0] == pytest.approx(band, rel=0.15)


def test_a_hobby_servo_rests_within_its_printed_dead_band(tmp_path):
    sg90 = read_servo(assets.datasheet_path("sg90"))
    assert np.degrees(sg90.deadband) == pytest.approx(5 / 1900 * 180)
    bench = Bench(tmp_path, Servo("servo", "shaft", sg90))
    bench.run(0.3, 100)
    assert bench.angle[0] == pytest.approx(0.3 * sg90.half_range, abs=1.05 * sg90.deadband)


def hold(bench: Bench) -> None:
    """Gives the rotor so much inertia that it stays where it is."""
    bench.body.parameter("motor/armature")[:] = 1e6


def test_a_winding_heats_up_as_its_thermal_resistance_says_and_is_switched_off_at_its_limit(tmp_path):
    hot = Thermal(resistance=4.0, capacity=0.05, coefficient=0.0)
    volts = 6.0 / POLOLU.voltage
    bench = Bench(tmp_path, DCMotor("motor", "shaft", replace(POLOLU, thermal=hot, no_load_current=0.0)))
    bench.power.measures_energy = True
    hold(bench)
    bench.run(volts, 100)  # ten time constants
    power = 6.0**2 / replace(POLOLU, no_load_current=0.0).resistance
    assert bench.power.heating[0, 0] == pytest.approx(4.0 * power, rel=0.01)

    limited = replace(hot, limit=2.0 * power)
    bench = Bench(tmp_path, DCMotor("motor", "shaft", replace(POLOLU, thermal=limited, no_load_current=0.0)))
    hold(bench)
    bench.run(volts, 50)
    assert bench.power.current[0, 0] == pytest.approx(0.0, abs=1e-6)
    bench.run(volts, 50)  # and stays off
    assert bench.power.heating[0, 0] < 0.1 * power


def test_friction_falls_from_static_to_coulomb_with_speed_and_does_not_disturb_the_current(tmp_path):
    friction = LuGre(stiffness=20.0, damping=0.05, coulomb=0.05, static=0.1, stribeck_speed=0.2)
    motor = replace(POLOLU, stribeck=friction)
    stuck = Bench(tmp_path, DCMotor("motor", "shaft", motor))
    stuck.power.measures_energy = True
    K, R = motor.motor_constant, motor.resistance
    for share in np.linspace(0, 1, 100):
        stuck.run(share * 0.09 * R / K / motor.voltage)
    stuck.run(0.09 * R / K / motor.voltage, 100)
    assert 0.09 / 20.0 <= stuck.angle[0] < 3 * 0.1 / 20.0  # the bristles bend, nothing slips
    assert stuck.speed[0] == pytest.approx(0.0, abs=1e-3)
    assert stuck.power.current[0, 0] == pytest.approx(0.09 / K, rel=0.02)
    free = Bench(tmp_path, DCMotor("motor", "shaft", motor))
    free.power.measures_energy = True
    free.run(0.11 * R / K / motor.voltage, 300)
    torque = free.power.current[0, 0] * K
    assert free.speed[0] > 0.1
    assert torque == pytest.approx(0.05 + 0.05 * np.exp(-((free.speed[0] / 0.2) ** 2)), rel=0.05)


def test_bristles_too_stiff_for_the_time_step_are_refused_when_the_robot_is_built(tmp_path):
    friction = LuGre(stiffness=5000.0, damping=0.5, coulomb=0.05, static=0.1, stribeck_speed=0.2)
    with pytest.raises(ModelError, match=r"bristles of 'motor' .* at most .* N·m/rad"):
        Bench(tmp_path, DCMotor("motor", "shaft", replace(POLOLU, stribeck=friction)))


def test_a_velocity_motor_holds_its_speed_and_droops_as_its_gain_says(tmp_path):
    motor = replace(POLOLU, no_load_current=0.0)
    K, R, gain, load = motor.motor_constant, motor.resistance, 2.0, 0.2
    bench = Bench(tmp_path, VelocityMotor("motor", "shaft", motor, top_speed=10.0, gain=gain))
    bench.run(0.8, 100)
    assert bench.speed[0] == pytest.approx(8.0, rel=0.01)
    bench.load(-load)
    bench.run(0.8, 100)
    assert 8.0 - bench.speed[0] == pytest.approx(load * R / K / (K + gain), rel=0.01)


def test_every_world_can_have_another_motor_by_name(tmp_path):
    motor = replace(POLOLU, no_load_current=0.0)
    bench = Bench(tmp_path, DCMotor("motor", "shaft", motor), n=3)
    factors = np.array([1.0, 1.25, 1.5])
    bench.body.parameter("motor/constant")[:, 0] *= factors
    bench.reset()
    bench.run(1.0, 200)
    assert bench.speed[0] / bench.speed == pytest.approx(factors, rel=0.01)


def test_every_world_can_have_another_backlash_by_name(tmp_path):
    bench = Bench(tmp_path, Servo("servo", "shaft", replace(XL330, backlash=0.02)), n=3)
    bench.body.parameter("servo/backlash")[:, 0] = [0.01, 0.02, 0.04]
    bench.reset()
    bench.batch.array("qfrc_applied")[:, bench.batch.model.joint("robot/shaft_backlash").dofadr[0]] = 0.01
    bench.run(0.0, 100)
    play = bench.batch.array("qpos")[:, bench.batch.model.joint("robot/shaft_backlash").qposadr[0]]
    assert play == pytest.approx([0.005, 0.01, 0.02], rel=0.1)


def test_a_backlash_that_is_set_back_is_set_back(tmp_path):
    bench = Bench(tmp_path, Servo("servo", "shaft", replace(XL330, backlash=0.02)))
    joint = bench.batch.model.joint("robot/shaft_backlash").id
    for width in (0.04, 0.02):
        bench.body.parameter("servo/backlash")[:] = width
        bench.reset()
        assert bench.batch.field("jnt_range")[0, joint] == pytest.approx([-width / 2, width / 2])


def test_heavier_rotors_change_the_constants_that_follow_from_them(tmp_path):
    bench = Bench(tmp_path, DCMotor("motor", "shaft", POLOLU), n=2)
    bench.body.parameter("motor/armature")[1] *= 100
    bench.reset()
    weight = bench.batch.field("dof_invweight0")[:, bench._qvel]
    assert weight[1] < 0.05 * weight[0]


def test_parameters_that_are_no_numbers_are_refused_when_the_episode_begins(tmp_path):
    motor = TorqueMotor("motor", "shaft", 0.1, command=Timing(latency_s=0.02))
    for value in (np.nan, -1.0):
        bench = Bench(tmp_path, motor)
        bench.body.parameter("motor/latency_s")[:] = value
        with pytest.raises(ModelError, match="must be numbers that are not negative"):
            bench.reset()


def test_a_decision_that_is_no_whole_number_of_time_steps_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no whole number of time steps"):
        Bench(tmp_path, TorqueMotor("motor", "shaft", 0.1), decision_ticks=2.5)


def test_a_parameter_that_does_not_exist_lists_those_that_do(tmp_path):
    bench = Bench(tmp_path, Servo("servo", "shaft", XL330))
    with pytest.raises(UnknownNameError, match="no parameter 'servo/stifness'; did you mean 'servo/stiffness'"):
        bench.body.parameter("servo/stifness")
    for name in bench.body.parameter_names():
        assert bench.body.parameter(name).shape == (1, 1)


def test_a_wrong_battery_sheet_names_field_unit_and_range(tmp_path):
    text = assets.datasheet_path("inr18650_25r").read_text()
    bad = tmp_path / "cell.toml"
    bad.write_text(text.replace("capacity_mAh = 2500.0", "capacity_mAh = -1"))
    with pytest.raises(ModelError, match=r"cell.capacity_mAh is -1, expected a number in \[1, 1e\+06\] \(mAh\)"):
        read_battery(bad)
    bad.write_text(text.replace("voltages_V = [3.0,", 'voltages_V = ["full",'))
    with pytest.raises(ModelError, match=r"open_circuit.voltages_V is .* expected a list of numbers"):
        read_battery(bad)
