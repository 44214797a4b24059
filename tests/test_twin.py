"""The twin: packets, memories, firmware and body, and the drivers that nobody here wrote."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path

import numpy as np
import pytest
from arms import IDS, LIMITS, POSTURE, run_for, servos
from hypothesis import given
from hypothesis import strategies as st

from embodied.deploy.drivers.buses import FeetechBus, open_bus
from embodied.deploy.drivers.servos import ServoArm
from embodied.deploy.registers import BY_NAME, COUNTS_PER_TURN, MIDDLE, RAD_PER_COUNT, TABLE, numbers_of, register
from embodied.deploy.twin.bus import Bus, Faults
from embodied.deploy.twin.direct import DirectBus
from embodied.deploy.twin.firmware import BROWN_OUT
from embodied.deploy.twin.memory import Memory
from embodied.deploy.twin.packets import BROADCAST, Instruction, Parser, answer, request
from embodied.deploy.twin.server import TwinServer
from embodied.errors import DriverError, UnknownNameError
from embodied_envs.arm.so101 import JOINTS
from embodied_scripts.deploying.twins import TwinProcess

rustypot = pytest.importorskip("rustypot", reason="rustypot is not installed")
LEROBOT = importlib.util.find_spec("lerobot") is not None


def test_a_packet_is_that_of_the_makers_manual() -> None:
    # the manual's own example: ping of servo 1, and its answer
    assert request(1, Instruction.PING) == bytes([0xFF, 0xFF, 0x01, 0x02, 0x01, 0xFB])
    assert answer(1, 0) == bytes([0xFF, 0xFF, 0x01, 0x02, 0x00, 0xFC])
    # and: read 2 bytes from 0x38 of servo 1
    assert request(1, Instruction.READ, bytes([0x38, 2])) == bytes([0xFF, 0xFF, 1, 4, 2, 0x38, 2, 0xBE])


@given(
    packets=st.lists(st.tuples(st.integers(0, 253), st.integers(0, 254), st.binary(max_size=40)), max_size=5),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=60),
)
def test_packets_are_found_whatever_the_pieces_they_come_in(packets: list, cuts: list[int]) -> None:
    line = b"".join(request(*packet) for packet in packets)
    parser, found = Parser(), []
    while line:
        cut = cuts[len(found) % len(cuts)]
        found += parser.feed(line[:cut])
        line = line[cut:]
    assert [(r.id, int(r.instruction), r.parameters) for r in found] == packets


@given(st.binary(max_size=60), st.integers(0, 253))
def test_noise_before_a_packet_costs_at_most_that_packet(noise: bytes, servo: int) -> None:
    parser = Parser()
    parser.feed(noise)
    rest = [r for _ in range(300) for r in parser.feed(request(servo, Instruction.PING))]
    assert rest
    assert (rest[-1].id, rest[-1].instruction) == (servo, Instruction.PING)


def test_a_damaged_packet_is_not_obeyed() -> None:
    bus = servos()
    whole = request(3, Instruction.WRITE, bytes([register("torque_enable").address, 1]))
    for at in range(2, len(whole)):
        bus.receive(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        bus.receive(request(0, Instruction.PING) * 30)  # whatever it waited for has come
    assert not any(memory["torque_enable"] for memory in bus.firmware.memories)
    bus.receive(whole)
    assert [memory["torque_enable"] for memory in bus.firmware.memories] == [0, 0, 1, 0, 0, 0]


def test_registers_are_where_another_library_has_them() -> None:
    theirs = {(r.addr, r.size) for r in rustypot.Sts3215PyController.registers()}
    ours = {(one.address, one.size) for one in TABLE}
    assert ours - theirs <= {(31, 2), (64, 1)} | {(one.address, one.size) for one in TABLE if one.name == "id"}
    assert {(BY_NAME[n].address, BY_NAME[n].size) for n in ("position", "goal_position", "current")} <= theirs


@given(st.sampled_from([one for one in TABLE if one.sign_bit is not None]), st.integers(-2000, 2000))
def test_signed_registers_are_sign_and_magnitude(one, value: int) -> None:
    if abs(value) >= 1 << one.sign_bit:
        with pytest.raises(DriverError, match="does not fit"):
            one.encode(value)
        return
    data = one.encode(value)
    assert one.decode(data) == value
    raw = int.from_bytes(data, "little")
    assert bool(raw >> one.sign_bit & 1) == (value < 0)
    assert raw & ~(1 << one.sign_bit) == abs(value)
    block = np.frombuffer(data, np.uint8)[None]
    assert numbers_of(block, (one,), one.address)[one.name].tolist() == [value]


def test_what_is_written_behind_the_lock_is_gone_after_a_loss_of_power() -> None:
    memory = Memory(4)
    at = register("min_force").address
    memory.write(at, bytes([77]))
    assert memory["min_force"] == 77
    memory.reboot()
    assert memory["min_force"] == register("min_force").default
    memory.write(register("lock").address, bytes([0]))
    memory.write(at, bytes([77]))
    memory.reboot()
    assert memory["min_force"] == 77
    assert memory["lock"] == 1
    assert memory["id"] == 4


def test_what_is_measured_cannot_be_written() -> None:
    bus = servos()
    before = DirectBus(bus).read(IDS, 56, 15)
    bus.receive(request(BROADCAST, Instruction.WRITE, bytes([56, *range(1, 16)])))
    assert np.array_equal(DirectBus(bus).read(IDS, 56, 15), before)


def test_unknown_registers_are_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="goal_position"):
        register("goal_positon")


def test_positions_are_counts_around_the_middle_and_follow_the_homing_offset() -> None:
    bus = servos(offset=np.array([0.01, 0.0, -0.02, 0.0, 0.0, 0.0]))
    read = DirectBus(bus).read(IDS, 56, 2)
    counts = numbers_of(read, (register("position"),), 56)["position"]
    shifts = np.array([0.01, 0, -0.02, 0, 0, 0])
    expected = np.floor((POSTURE + shifts) / RAD_PER_COUNT + MIDDLE + 0.5)
    assert counts.tolist() == expected.tolist()
    bus.receive(request(2, Instruction.WRITE, bytes([31]) + register("homing_offset").encode(-300)))
    bus.tick()
    after = numbers_of(DirectBus(bus).read(IDS, 56, 2), (register("position"),), 56)["position"]
    assert (after - counts)[1] == pytest.approx(300, abs=1)


def _told(bus: Bus, name: str, values: list[int]) -> None:
    one = register(name)
    DirectBus(bus).write(IDS, one.address, np.array([list(one.encode(v)) for v in values], np.uint8))


def _held(bus: Bus) -> None:
    """Torque on, goals where the joints are."""
    _told(bus, "goal_position", bus.firmware.counts().astype(int).tolist())
    _told(bus, "torque_enable", [1] * 6)
    run_for(bus, 0.1)


def test_servos_go_where_they_are_told_after_their_latency() -> None:
    bus = servos(latency_s=0.030, jitter_s=0.0)
    _held(bus)
    goals = bus.firmware.counts().astype(int)
    goals[4] += 60
    _told(bus, "goal_position", goals.tolist())
    before = bus.firmware.body.true_angles.copy()
    run_for(bus, 0.029)
    assert abs(bus.firmware.body.true_angles - before).max() < 1e-3
    run_for(bus, 0.4)
    moved = bus.firmware.body.true_angles - before
    assert moved[4] == pytest.approx(60 * RAD_PER_COUNT, abs=0.02)
    assert np.abs(np.delete(moved, 4)).max() < 0.02


def test_a_registered_write_waits_for_the_action() -> None:
    bus = servos()
    _held(bus)
    goal = int(bus.firmware.counts()[0]) + 200
    bus.receive(request(1, Instruction.REG_WRITE, bytes([42]) + goal.to_bytes(2, "little")))
    run_for(bus, 0.3)
    assert bus.firmware.memories[0]["goal_position"] != goal
    bus.receive(request(BROADCAST, Instruction.ACTION))
    assert bus.firmware.memories[0]["goal_position"] == goal


def test_speed_and_acceleration_shape_the_motion() -> None:
    bus = servos(latency_s=0.0)
    _held(bus)
    _told(bus, "goal_speed", [300] * 6)
    _told(bus, "acceleration", [5] * 6)
    start = bus.firmware.counts()[4]
    goals = bus.firmware.counts().astype(int)
    goals[4] += 400
    _told(bus, "goal_position", goals.tolist())
    run_for(bus, 0.4)  # 500 counts/s² for 0.4 s: 40 counts, less what the loop lags behind
    assert 15 < bus.firmware.counts()[4] - start < 41
    run_for(bus, 0.6)  # from 0.6 s on it is at 300 counts/s
    assert bus.firmware.body.speeds[4] / RAD_PER_COUNT == pytest.approx(300, rel=0.1)
    run_for(bus, 2.5)
    assert bus.firmware.counts()[4] - start == pytest.approx(400, abs=10)


def test_goals_outside_of_a_servos_own_limits_are_not_reached() -> None:
    bus = servos()
    _told(bus, "max_position", [COUNTS_PER_TURN - 1] * 4 + [2100] + [COUNTS_PER_TURN - 1])
    _held(bus)
    goals = bus.firmware.counts().astype(int)
    goals[4] = 2600
    _told(bus, "goal_position", goals.tolist())
    run_for(bus, 1.0)
    assert bus.firmware.counts()[4] == pytest.approx(2100, abs=10)


def test_without_torque_the_arm_falls_as_far_as_its_gears_let_it_and_the_motors_draw_nothing() -> None:
    stiff = servos()
    _told(stiff, "goal_position", [MIDDLE] * 6)
    run_for(stiff, 1.0)
    assert abs(stiff.firmware.body.true_angles - POSTURE).max() < 0.05  # friction holds it; goals do not count
    bus = servos(friction=0.0, load_friction=0.0, back_load_friction=0.0)
    _held(bus)
    _told(bus, "torque_enable", [0] * 6)
    run_for(bus, 1.5)
    assert bus.firmware.body.true_angles[1] > POSTURE[1] + 0.1
    assert not bus.firmware.body.current.any()


def test_a_servo_that_pushes_too_long_lowers_its_torque_and_says_so() -> None:
    bus = servos()
    _held(bus)
    goals = bus.firmware.counts().astype(int)
    goals[5] -= 900  # fingers closed onto each other, and further
    _told(bus, "goal_position", goals.tolist())
    run_for(bus, 1.5)
    assert abs(bus.firmware.load[5]) == pytest.approx(1.0, abs=0.01)
    run_for(bus, 2.0)
    assert abs(bus.firmware.load[5]) == pytest.approx(0.2, abs=0.01)
    assert bus.firmware.flags[5] & 32
    status = bus.receive(request(6, Instruction.PING))[0][1]
    assert status[4] & 32  # the error byte of every answer
    goals[5] += 1200
    _told(bus, "goal_position", goals.tolist())
    run_for(bus, 0.1)
    assert bus.firmware.load[5] == pytest.approx(1.0, abs=0.01)  # told to turn the other way, it tries again
    assert not bus.firmware.flags[5] & 32


def test_a_supply_that_breaks_down_starts_the_servos_anew() -> None:
    bus = servos(Faults(sag=(0.3, 0.05, BROWN_OUT - 1)))
    _held(bus)
    assert all(memory["torque_enable"] for memory in bus.firmware.memories)
    run_for(bus, 0.5)
    assert not any(memory["torque_enable"] for memory in bus.firmware.memories)


def test_motors_warm_up_with_the_square_of_their_current() -> None:
    bus = servos(warming=(8.0, 4.0))
    _held(bus)
    body = bus.firmware.body
    goals = bus.firmware.counts().astype(int)
    goals[5] -= 900
    _told(bus, "goal_position", goals.tolist())
    run_for(bus, 0.6)
    before, current = body.temperature[5], body.current[5]
    run_for(bus, 0.2)
    heat = current**2 * body.resistance[5] - (before - 25.0) / 8.0
    assert body.temperature[5] - before == pytest.approx(heat * 0.2 / 4.0, rel=0.1)


def test_answers_take_their_time_on_the_line() -> None:
    bus = servos()
    packet = request(BROADCAST, Instruction.SYNC_READ, bytes([56, 15, *IDS]))
    shipped = bus.receive(packet)
    assert shipped[-1][0] == pytest.approx((len(packet) + 6 * 21) * 1e-5 + 6 * 500e-6, rel=1e-6)
    _told(bus, "return_delay", [0] * 6)
    assert bus.receive(packet)[-1][0] == pytest.approx((len(packet) + 6 * 21) * 1e-5, rel=1e-6)


def test_a_dead_servo_neither_answers_nor_holds() -> None:
    bus = servos(Faults(dies_s={2: 0.2}))
    _held(bus)
    run_for(bus, 0.6)
    with pytest.raises(DriverError, match=r"\[2\]"):
        DirectBus(bus).read(IDS, 56, 2)
    assert bus.firmware.load[1] == 0


WITHOUT_LEROBOT = pytest.mark.skipif(not LEROBOT, reason="LeRobot is not installed: it needs its own environment")


@pytest.mark.parametrize("library", ["feetech", "rustypot", pytest.param("lerobot", marks=WITHOUT_LEROBOT)])
def test_drivers_of_others_read_and_write_all_six_servos(library: str, tmp_path: Path) -> None:
    with TwinProcess(["so101", "--task", "Feel-v0"], tmp_path) as twin:
        arm = ServoArm(JOINTS, twin.port, LIMITS, library=library)
        arm.connect()
        assert [arm.bus.ask(servo) for servo in (*IDS, 7)] == [True] * 6 + [False]
        truth = np.array(twin.order()["angles"])
        reading = arm.read()
        assert np.abs(reading.values["angle"] - truth).max() < 0.05  # it hangs without torque
        assert reading.values["volts"] == pytest.approx([12.0], abs=0.11)
        assert not reading.faults
        arm.engage()
        there = np.clip(arm.read().values["angle"] + [0.2, 0.1, -0.1, -0.2, 0.3, 0.2], LIMITS.low, LIMITS.high)
        arm.write(there)
        time.sleep(1.0)
        assert np.abs(np.array(twin.order()["angles"]) - there).max() < 0.06
        assert np.abs(arm.read().values["angle"] - there).max() < 0.06
        arm.relax()
        assert twin.order()["torque"] == [0] * 6
        arm.close()


def test_an_answer_that_comes_late_does_not_pass_for_the_next_one(tmp_path: Path) -> None:
    with TwinProcess(["so101"], tmp_path) as twin:
        bus = FeetechBus(twin.port)
        one = register("goal_position")
        bus.write(IDS, one.address, np.array([list(one.encode(2000 + servo)) for servo in IDS], np.uint8))
        twin.order(fault={"late": 1.0, "late_s": 0.06})
        with pytest.raises(DriverError, match="do not answer"):
            bus.read(IDS, one.address, 2)
        twin.order(fault={"late": 0.0})
        time.sleep(0.1)  # now the old answers are there
        block = bus.read(IDS, register("model_number").address, 2)
        assert numbers_of(block, (register("model_number"),), 3)["model_number"].tolist() == [777] * 6
        bus.close()


def test_a_port_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    for library in ("feetech", "rustypot"):
        with pytest.raises(DriverError, match="no robot at"):
            open_bus(str(tmp_path / "nothing"), IDS, library)
    with pytest.raises(UnknownNameError, match="rustypot"):
        open_bus("x", IDS, "dynamixel")


def test_a_port_does_not_replace_a_file(tmp_path: Path) -> None:
    taken = tmp_path / "robot"
    taken.write_text("mine")
    with pytest.raises(DriverError, match="no port can be made"):
        TwinServer(servos(), taken)
    assert taken.read_text() == "mine"
    assert os.path.isfile(taken)
