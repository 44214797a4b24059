"""What runs inside the servos: goals, profiles, the position loop, limits of torque, and what protects them."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from embodied.deploy.registers import (
    ACCELERATION,
    AMPERE,
    COUNTS_PER_TURN,
    MIDDLE,
    PROTECTION_S,
    RAD_PER_COUNT,
    VOLT,
    register,
)  # fmt: skip
from embodied.deploy.twin.body import TICK_S, TwinBody
from embodied.deploy.twin.memory import Memory

POSITION, SPEED, DUTY = 0, 1, 2  # modes
VOLTAGE_FLAG, HEAT_FLAG, CURRENT_FLAG, OVERLOAD_FLAG = 1, 4, 8, 32
PROTECTION_TICKS = 10  # between two looks at load, current, heat and supply
BROWN_OUT = 4.0  # V, below which a servo forgets everything and starts again
SETTINGS = (
    "p", "i", "d", "min_force", "dead_band_cw", "dead_band_ccw", "max_torque", "torque_limit", "mode", "min_position",
    "max_position", "homing_offset", "goal_speed", "goal_time", "acceleration", "torque_enable", "max_temperature",
    "max_voltage", "min_voltage", "unloading", "protection_current", "protection_torque", "protection_time",
    "overload_torque", "overcurrent_time",
)  # fmt: skip


class Firmware:
    """The firmware of all servos of a body, in numbers of registers.

    Attributes:
        memories: one per servo, in the order of the joints; ids: of the servos.
        load: share of the supply on each winding, `(servos,)`; flags: of what is wrong, `(servos,)`.
        time_s: since it was switched on.
    """

    def __init__(self, body: TwinBody, ids: tuple[int, ...], seed: int = 0) -> None:
        self.body, self.ids = body, ids
        self.memories = [Memory(servo) for servo in ids]
        n = len(ids)
        self._rng = np.random.default_rng(seed)
        self._seen = [-1] * n
        self._set = {name: np.zeros(n) for name in SETTINGS}
        self._gain = np.broadcast_to(np.asarray(body.truth.duty_per_count, float), n)
        self._pending: deque[tuple[float, int, int]] = deque()  # goals on their way: when, servo, position
        self._goals = [0] * n
        self.load, self.flags = np.zeros(n), np.zeros(n, int)
        self._goal, self._setpoint, self._rate, self._integral = (np.zeros(n) for _ in range(4))
        self._overloaded_s, self._overcurrent_s = np.zeros(n), np.zeros(n)
        self._off, self._dead = (np.zeros(n, bool) for _ in range(2))
        self._side = np.zeros(n)  # to which a servo pushed when it gave up; 0 for those that did not
        self.time_s, self._ticks = 0.0, 0
        self._several_turns = np.zeros(n, bool)
        self._low, self._high = np.full(n, -np.inf), np.full(n, np.inf)
        self._top, self._gain_of_speed, self._limit = np.full(n, np.inf), np.full(n, np.inf), np.ones(n)
        self.power_on()

    def power_on(self) -> None:
        """Starts all servos: registers as they were kept, goals where the joints are, torque off."""
        for memory in self.memories:
            memory.reboot()
        self._pending.clear()
        self.flags[:] = 0
        self._off[:], self._side[:] = False, 0.0
        self._overloaded_s[:] = self._overcurrent_s[:] = 0.0
        self._take_settings()
        self._seen = [memory.writes for memory in self.memories]
        here = self.counts()
        for i, memory in enumerate(self.memories):
            memory["goal_position"] = self._goals[i] = int(here[i])
        self._goal[:] = self._setpoint[:] = here
        self._rate[:] = self._integral[:] = self.load[:] = 0.0

    def rest(self) -> None:
        """Somebody has put the joints elsewhere: servos are told to be where they are now, and stay on or off."""
        here = self.counts()
        self._pending.clear()
        for i, memory in enumerate(self.memories):
            memory["goal_position"] = self._goals[i] = int(here[i])
        self._goal[:] = self._setpoint[:] = here
        self._rate[:] = self._integral[:] = self.load[:] = 0.0
        self.body.begin()

    def kill(self, servo: int) -> None:
        """Lets a servo die: no torque, and no answer."""
        self._dead[self.ids.index(servo)] = True

    def alive(self, servo: int) -> bool:
        """Whether it answers."""
        return not self._dead[self.ids.index(servo)]

    def counts(self) -> NDArray[np.float64]:
        """Positions as the servos count them, `(servos,)`."""
        raw = np.floor(self.body.angles * (1 / RAD_PER_COUNT) + (MIDDLE + 0.5))
        return np.where(self._several_turns, raw, raw % COUNTS_PER_TURN) - self._set["homing_offset"]

    def written(self, servo: int) -> None:
        """Takes in what was written to the memory of a servo, after its latency."""
        i = self.ids.index(servo)
        memory = self.memories[i]
        goal = memory["goal_position"]
        if goal != self._goals[i]:
            self._goals[i] = goal
            truth = self.body.truth
            late = max(truth.latency_s + truth.jitter_s * self._rng.standard_normal(), 0.0)
            self._pending.append((self.time_s + late, i, goal))
        if memory["torque_enable"] == 128:  # the joint stands in the middle now
            memory["homing_offset"] = int(np.clip(self.counts()[i] + memory["homing_offset"] - MIDDLE, -2047, 2047))
            memory["torque_enable"] = 0

    def _take_settings(self) -> None:
        was_on = self._set["torque_enable"] > 0
        for i, memory in enumerate(self.memories):
            if self._seen[i] != memory.writes:
                self._seen[i] = memory.writes
                for name in SETTINGS:
                    self._set[name][i] = memory[name]
        s = self._set
        on = s["torque_enable"] > 0
        self._several_turns = (s["min_position"] == 0) & (s["max_position"] == 0)
        bounded = s["max_position"] > s["min_position"]
        self._low = np.where(bounded, s["min_position"], -np.inf)
        self._high = np.where(bounded, s["max_position"], np.inf)
        self._top = np.where(s["goal_speed"] > 0, s["goal_speed"], np.inf)
        self._gain_of_speed = np.where(s["acceleration"] > 0, s["acceleration"] * ACCELERATION, np.inf)
        self._side *= on
        self._limit_torque()
        self._off &= on
        self._setpoint = np.where(on & ~was_on, self.counts(), self._setpoint)
        self._integral = np.where(on, self._integral, 0.0)

    def tick(self) -> None:
        """Moves servos and body on by one tick."""
        if any(memory.writes != seen for memory, seen in zip(self.memories, self._seen, strict=True)):
            self._take_settings()
        while self._pending and self._pending[0][0] <= self.time_s + 1e-9:
            _, i, goal = self._pending.popleft()
            self._goal[i] = goal
        if self.body.volts < BROWN_OUT:
            self.power_on()
        driven = (self._set["torque_enable"] > 0) & ~self._off & ~self._dead
        duty = self._duty_of_position()
        if self._set["mode"].any():
            duty = np.select(
                [self._set["mode"] == SPEED, self._set["mode"] == DUTY],
                [self._duty_of_speed(), self._set["goal_time"] * 1e-3],
                duty,
            )
        self.load = np.clip(duty, -self._limit, self._limit) * driven
        self.body.tick(self.load, driven)
        self._ticks += 1
        if self._ticks % PROTECTION_TICKS == 0:
            self._protect(driven)
        self.time_s += TICK_S

    def _duty_of_position(self) -> NDArray[np.float64]:
        """The position loop: gains on the error outside of the dead band, at least the force that starts a motion."""
        s = self._set
        here = self.counts()
        if (self._setpoint != self._goal).any():
            self._follow_profile()
        error = self._setpoint - here
        error *= (error >= s["dead_band_cw"]) | (error <= -s["dead_band_ccw"])
        duty = self._gain * s["p"] * error
        duty = np.sign(error) * np.maximum(np.abs(duty), 1e-3 * s["min_force"])
        if not s["i"].any():
            return duty
        self._integral = np.clip(self._integral + error * TICK_S, -500, 500) * (s["i"] > 0)
        return duty + self._gain * s["i"] * self._integral

    def _duty_of_speed(self) -> NDArray[np.float64]:
        """The loop of the speed mode: feed-forward of the back-EMF, and a gain on what is missing."""
        body = self.body
        wanted = self._set["goal_speed"] * RAD_PER_COUNT
        volts = body.constant * wanted + 4 * body.constant * (wanted - body.speeds)
        return volts / max(body.volts, 1.0)

    def _follow_profile(self) -> None:
        """Moves set points towards the goals, no faster than speed and acceleration allow; 0 is no limit."""
        goal = np.clip(self._goal, self._low, self._high)
        left = goal - self._setpoint
        room = np.abs(left)
        brakes = np.sqrt(2 * self._gain_of_speed * np.maximum(room, 0.5))
        wanted = np.sign(left) * np.minimum(np.minimum(self._top, brakes), room / TICK_S)
        change = self._gain_of_speed * TICK_S
        self._rate = np.clip(wanted, self._rate - change, self._rate + change)
        step = self._rate * TICK_S
        arrives = (room < 1) | (step * np.sign(left) >= room)
        self._setpoint = np.where(arrives, goal, self._setpoint + step)
        self._rate *= ~arrives

    def _protect(self, driven: NDArray[np.bool_]) -> None:
        """Notices too much load, current, heat and a bad supply, and does what the servo was told to do then."""
        s, body = self._set, self.body
        unload = s["unloading"].astype(int)
        loaded = np.abs(self.load) * 100 >= np.maximum(s["overload_torque"], 1)
        self._overloaded_s = np.where(loaded & driven, self._overloaded_s + PROTECTION_TICKS * TICK_S, 0.0)
        over = (self._overloaded_s > s["protection_time"] * PROTECTION_S) & ((unload & OVERLOAD_FLAG) > 0)
        self._side = np.where(over, np.sign(self.load), self._side)
        self._side *= (self._goal - self.counts()) * self._side >= 0  # told to turn the other way, it tries again
        self._limit_torque()
        strong = np.abs(body.current) > s["protection_current"] * AMPERE
        self._overcurrent_s = np.where(strong & driven, self._overcurrent_s + PROTECTION_TICKS * TICK_S, 0.0)
        burns = self._overcurrent_s > s["overcurrent_time"] * PROTECTION_S
        hot = body.temperature >= s["max_temperature"]
        volts = body.volts / VOLT
        bad = (volts < s["min_voltage"]) | (volts > s["max_voltage"])
        self.flags = bad * VOLTAGE_FLAG | hot * HEAT_FLAG | burns * CURRENT_FLAG | (self._side != 0) * OVERLOAD_FLAG
        causes = ((bad, VOLTAGE_FLAG), (hot, HEAT_FLAG), (burns, CURRENT_FLAG))
        for wrong, flag in causes:
            self._off |= wrong & ((unload & flag) > 0)

    def _limit_torque(self) -> None:
        """How much of the supply each servo may use; less where it was overloaded."""
        s = self._set
        limit = np.minimum(s["max_torque"], s["torque_limit"]) * 1e-3
        self._limit = np.where(self._side != 0, np.minimum(limit, s["protection_torque"] * 1e-2), limit)

    def report(self, servo: int) -> None:
        """Writes what a servo measures into its memory, as it is now."""
        i = self.ids.index(servo)
        memory, body = self.memories[i], self.body
        here = int(self.counts()[i])
        speed = round(float(body.speeds[i]) / RAD_PER_COUNT)
        values = {
            "position": here,
            "speed": speed,
            "load": round(float(self.load[i]) * 1000),
            "voltage": round(body.volts / VOLT),
            "temperature": round(float(body.temperature[i])),
            "status": int(self.flags[i]),
            "moving": int(abs(speed) > memory["moving_threshold"]),
            "current": round(float(body.current[i]) / AMPERE),
        }
        for name, value in values.items():
            memory[name] = _within(value, name)


def _within(value: int, name: str) -> int:
    one = register(name)
    most = 2 ** (8 * one.size if one.sign_bit is None else one.sign_bit) - 1
    return int(math.copysign(min(abs(value), most), value)) if one.sign_bit is not None else min(max(value, 0), most)
