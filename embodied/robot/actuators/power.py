"""The power behind a robot's motors in N worlds: drivers, battery, heat and energy."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from embodied.physics.batch import Batch
from embodied.robot.actuators.overload import OverloadProtection
from embodied.robot.actuators.spec import Actuator
from embodied.robot.frames import Parameters
from embodied.robot.robot import Robot
from embodied.seeding import Worlds, grid

LOADS = ("qfrc_bias", "qfrc_passive", "qfrc_constraint")  # what a shaft bears, in MuJoCo's words and signs
NO_VOLTAGE = 1e-9  # V; MuJoCo reads a limit of zero as none


class MotorPower:
    """Windings, drivers and the battery that feeds them.

    Voltages hold from one `control_tick` to the next; `current` and `load`, the share of the supply on each
    winding, are those of MuJoCo's last tick. Energies `(N,)` [J] are
    those of the episode, added up tick by tick: `electrical` from the supply, of which `regenerated` flowed back,
    `heat` in windings, battery and electronics, `mechanical` at the shafts. They are added up where there is a battery,
    a limit of heat or load, or a sensor of a signal; set `measures_energy` to have them anyway.
    """

    VARIES = ("constant", "resistance", "stiffness", "deadband")
    OF_ALL = ("constant", "resistance")

    def __init__(self, robot: Robot, motors: list[tuple[int, Actuator]], batch: Batch, prefix: str) -> None:
        model, n = batch.model, batch.n
        self._batch, self._battery = batch, robot.battery
        self._which = np.array([i for i, _ in motors], np.intp)
        self._scale = np.array([a.scale for _, a in motors])
        self._names = [a.name for _, a in motors]
        self._ids = np.array([model.actuator(prefix + name).id for name in self._names], np.intp)
        self._joint = np.array([model.joint(prefix + a.joint).qposadr[0] for _, a in motors], np.intp)
        electrics = [a.electrics for _, a in motors if a.electrics is not None]
        self._electrics = electrics
        self.constant, self.resistance, self.stiffness, self.deadband = (
            np.tile([getattr(e, name) for e in electrics], (n, 1)).astype(float) for name in self.VARIES
        )
        self._voltage = np.array([e.voltage for e in electrics])
        self._max_duty = np.array([e.max_duty for e in electrics])
        self._velocity_gain = np.array([e.velocity_gain for e in electrics])
        self._loops = np.array([e.closes_a_loop for e in electrics], bool)
        self.driven = self._which[~self._loops]
        self._limit = np.array([e.thermal.limit if e.thermal else np.inf for e in electrics])
        self._qpos, self._qvel = batch.array("qpos"), batch.array("qvel")
        self._applied = batch.array("qfrc_applied")
        self._shaft = np.array([model.joint(prefix + a.joint).dofadr[0] for _, a in motors], np.intp)
        self._states = _MotorStates(batch, self._ids, motors)
        self._off = np.zeros((n, len(motors)), bool)
        self._protection = OverloadProtection(electrics, n)
        self.current = np.zeros((n, len(motors)))
        self.heating = np.zeros((n, len(motors)))
        self.load = np.zeros((n, len(motors)))
        self.bus_voltage, self.bus_current, self.charge = np.zeros(n), np.zeros(n), np.ones(n)
        self.initial_charge, self.battery_resistance = np.ones((n, 1)), np.zeros((n, 1))
        if robot.battery is not None:
            self.battery_resistance[:] = robot.battery.resistance
        self.electrical, self.heat, self.mechanical, self.regenerated = (np.zeros(n) for _ in range(4))
        limited, deaf = np.isfinite(self._limit), (self.deadband > 0).any(axis=0)
        self._changes = bool(robot.battery) or self._protection.exists or bool((limited | deaf).any())
        reshaped = self._loops & (limited | deaf | bool(robot.battery) | self._protection.exists)
        self._gainprm: NDArray | None = batch.field("actuator_gainprm") if reshaped.any() else None
        asked = any(sensor.is_telemetry for sensor in robot.sensors)
        self._update_s = robot.power_update_s
        heats = any(e.thermal for e in electrics)
        self.measures_energy = bool(robot.battery) or heats or asked or self._protection.exists

    @property
    def power_update_s(self) -> float:
        """How often voltages are computed anew within a decision [s]; 0 for only at its start."""
        return self._update_s if self._changes else 0.0

    @property
    def telemetry(self) -> dict[str, NDArray]:
        """What the electronics know, by name, `(N,)` each and live."""
        known = {f"{name}/current": self.current[:, i] for i, name in enumerate(self._names)}
        known |= {f"{name}/heating": self.heating[:, i] for i, name in enumerate(self._names)}
        known |= {f"{name}/load": self.load[:, i] for i, name in enumerate(self._names)}
        if self._battery is not None:
            known |= {"battery/voltage": self.bus_voltage, "battery/current": self.bus_current}
        return known

    def parameters(self) -> Parameters:
        """How to get per-world values, by name; only servos have a stiffness and a dead band."""
        table: Parameters = {}
        for i, (name, electrics) in enumerate(zip(self._names, self._electrics, strict=True)):
            varying = self.VARIES if electrics.stiffness else self.OF_ALL
            table |= {f"{name}/{what}": partial(self._of_motor, i, what) for what in varying}
        if self._battery is not None:
            table["battery/charge"] = partial(getattr, self, "initial_charge")
            table["battery/resistance"] = partial(getattr, self, "battery_resistance")
        return table

    def _of_motor(self, i: int, what: str) -> NDArray:
        if self._gainprm is None:
            self._gainprm = self._batch.field("actuator_gainprm")
        return getattr(self, what)[:, i : i + 1]

    def begin(self, rows: Worlds) -> None:
        """Starts an episode: cold motors, a battery charged as declared, nothing added up."""
        self._off[rows] = False
        self._protection.begin(rows)
        self.current[rows] = self.heating[rows] = self.load[rows] = 0.0
        self.bus_current[rows] = 0.0
        self.charge[rows] = self.initial_charge[rows, 0]
        for energy in (self.electrical, self.heat, self.mechanical, self.regenerated):
            energy[rows] = 0.0
        self._settle_bus(rows)
        self._changes |= bool((self.deadband > 0).any())
        if self._gainprm is not None:
            self._write_motors(rows)

    def control_tick(self, wanted: tuple[NDArray, NDArray], rows: Worlds) -> NDArray:
        """Sets voltages for the physics that follow, from the commands that work and those to come, `(n, nu)` each.

        Returns:
            What command 1 puts on each motor that is driven by voltage, `(n, driven)` [V].
        """
        supply = self._supply(rows)
        if self._gainprm is not None and self._loops.any():
            self._write_loops(wanted, supply, rows)
        return np.where(self._off[rows], 0.0, supply)[:, ~self._loops]

    @property
    def recorded(self) -> list[str]:
        """The fields of MuJoCo that `add_energy` is to be given."""
        return [*self._states.recorded, "actuator_velocity", *LOADS]

    def before_ticks(self) -> None:
        """Keeps what `add_energy` must know of the time before the ticks that it is given."""
        self._states.before_ticks()

    def add_energy(self, fields: dict[str, NDArray], rows: Worlds) -> None:
        """Adds up the energy that flowed while the physics ran, from its record `(n, ticks, …)` by name."""
        constant = self.constant[rows][:, None]
        after = self._qvel[grid(rows, self._shaft)]
        speed = np.concatenate([fields["actuator_velocity"][..., self._ids], after[:, None]], axis=1)
        change, mean = np.diff(speed, axis=1), 0.5 * (speed[:, :-1] + speed[:, 1:])
        first = (fields["actuator_force"][..., self._ids] + self._states.friction(fields, rows)) / constant
        acting = first + self._slope(rows)[:, None] * change
        steady = self._load(fields, rows) / constant
        self._add_up(first, acting, mean, 0.5 * steady * change, rows)

    def _load(self, fields: dict[str, NDArray], rows: Worlds) -> NDArray:
        """The torque that each shaft bears beside its own acceleration, `(n, ticks, motors)` [N·m]."""
        bias, passive, constraint = (fields[name][..., self._shaft] for name in LOADS)
        return bias - passive - constraint - self._applied[grid(rows, self._shaft)][:, None]

    def _slope(self, rows: Worlds) -> NDArray:
        """Change of each motor's current with its speed as the implicit integrator has it, `(n, motors)` [A·s/rad].

        It is that of the winding and of the driver's loop, also where the driver is at its limit.
        """
        resistance = self.resistance[rows] * (1 + self._states.coefficient * self._states.heating(rows))
        return -np.where(self._loops, self.constant[rows] + self._velocity_gain, self.constant[rows]) / resistance

    def _add_up(self, first: NDArray, current: NDArray, speed: NDArray, steady: NDArray, rows: Worlds) -> None:
        """Adds heat, work and charge of a run of ticks; all `(n, ticks, motors)`.

        Within a tick the implicit integrator lets the force of its end act; the current falls there from `first`, which
        MuJoCo reports. The sums are exact for the exponential approach of a motor with a constant load to its speed,
        whatever the tick: what accelerates works at the mean speed of a tick, what bears the load at that of its end.

        Args:
            first, current: at the beginning of each tick, and acting through it [A].
            speed: mean of each tick [rad/s].
            steady: current that bears the load, times half the change of speed [A·rad/s].
        """
        tick_s = self._batch.model.opt.timestep
        resistance = self.resistance[rows] * (1 + self._states.coefficient * self._states.heating(rows))
        extra = self.constant[rows][:, None] * steady
        loss = 0.5 * current * (first + current) * resistance[:, None] - extra
        self._states.warm((loss - first**2 * resistance[:, None]).sum(axis=1) * tick_s, rows)
        heating = self._states.heating(rows)
        self.current[rows], self.heating[rows] = current[:, -1], heating
        self.load[rows] = self._duty(current[:, -1], speed[:, -1], resistance, rows)
        self._protection.watch(self.load[rows], current.shape[1] * tick_s, rows)
        self._off[rows] |= heating > self._limit
        shaft = self.constant[rows][:, None] * current * speed + extra
        electronics = self._battery.electronics if self._battery else 0.0
        power = (loss + shaft).sum(axis=2) + electronics
        lost = loss.sum(axis=2) + electronics
        if self._battery is not None:
            current = power / np.maximum(self.bus_voltage[rows], 1.0)[:, None]
            inside = self.battery_resistance[rows] * current**2
            power, lost = power + inside, lost + inside
            self.bus_current[rows] = current[:, -1]
            flowed = current.sum(axis=1) * tick_s / self._battery.capacity
            self.charge[rows] = np.clip(self.charge[rows] - flowed, 0.0, 1.0)
            self._settle_bus(rows)
        self.electrical[rows] += power.sum(axis=1) * tick_s
        self.regenerated[rows] += np.maximum(-power, 0.0).sum(axis=1) * tick_s
        self.heat[rows] += lost.sum(axis=1) * tick_s
        self.mechanical[rows] += shaft.sum(axis=(1, 2)) * tick_s

    def _duty(self, current: NDArray, speed: NDArray, resistance: NDArray, rows: Worlds) -> NDArray[np.float64]:
        """The share of its supply that each driver puts on its winding, `(n, motors)`."""
        voltage = current * resistance + self.constant[rows] * speed
        return np.clip(voltage / np.maximum(self._supply(rows), 1.0), -self._max_duty, self._max_duty)

    def _settle_bus(self, rows: Worlds) -> None:
        if self._battery is None:
            return
        resistance = self.battery_resistance[rows, 0]
        self.bus_voltage[rows] = self._battery.voltage(self.charge[rows], self.bus_current[rows], resistance)

    def _supply(self, rows: Worlds) -> NDArray:
        """What is there for each motor, `(n, motors)` [V]."""
        if self._battery is None:
            return np.broadcast_to(self._voltage, self._off[rows].shape)
        # a motor made for less than the pack has a regulator of its own
        regulated = self._voltage < 0.75 * max(self._battery.open_circuit)
        return np.where(regulated, self._voltage, self.bus_voltage[rows][:, None])

    def _write_motors(self, rows: Worlds) -> None:
        assert self._gainprm is not None
        K, R = self.constant[rows], self.resistance[rows]
        for slot, value in ((0, R), (1, K)):
            self._gainprm[(*grid(rows, self._ids), slot)] = value
        self._write_loops(None, self._supply(rows), rows)

    def _write_loops(self, wanted: tuple[NDArray, NDArray] | None, supply: NDArray, rows: Worlds) -> None:
        """Gains and limits of the drivers that close a loop, for this supply.

        Within its dead band, of the command that works and of the one to come, a driver shorts the winding.
        """
        assert self._gainprm is not None
        K, slope = self.constant[rows], self.constant[rows] / self.resistance[rows]
        idle = np.zeros(supply.shape, bool)
        if wanted is not None:
            angle = self._qpos[grid(rows, self._joint)]
            now, coming = (command[:, self._which] * self._scale - angle for command in wanted)
            self._protection.release(now, rows)
            idle = np.maximum(np.abs(now), np.abs(coming)) < self.deadband[rows]
        duty = self._protection.limit(self._max_duty, rows)
        limit = np.where(self._off[rows] | idle, NO_VOLTAGE, np.maximum(duty * supply, NO_VOLTAGE))
        gains = {4: slope * self.stiffness[rows] * supply, 6: slope * (K + self._velocity_gain), 7: limit}
        loops = np.flatnonzero(self._loops)
        for slot, value in gains.items():
            self._gainprm[(*grid(rows, self._ids[loops]), slot)] = value[:, loops]


class _MotorStates:
    """MuJoCo's states of heating windings and of bristles."""

    def __init__(self, batch: Batch, ids: NDArray[np.intp], motors: list[tuple[int, Actuator]]) -> None:
        self._n = len(motors)
        self.coefficient, self._capacity = np.zeros(self._n), np.full(self._n, np.inf)
        self._hot, self._bristle = np.full(self._n, -1), np.full(self._n, -1)
        self._stiffness, self._damping = np.zeros(self._n), np.zeros(self._n)
        for k, (i, (_, actuator)) in enumerate(zip(ids, motors, strict=True)):
            first = int(batch.model.actuator_actadr[i])
            part = actuator.part
            if part is not None and part.thermal is not None:
                self._hot[k], first = first, first + 1
                self.coefficient[k], self._capacity[k] = part.thermal.coefficient, part.thermal.capacity
            if part is not None and part.stribeck is not None:
                self._bristle[k], self._stiffness[k] = first, part.stribeck.stiffness
                self._damping[k] = part.stribeck.damping
        self._act = batch.array("act") if batch.model.na else None
        self._before: NDArray | None = None  # states at the beginning of the ticks that are recorded

    @property
    def recorded(self) -> list[str]:
        """Fields of MuJoCo from which currents follow, tick by tick."""
        return ["actuator_force", *(["act", "act_dot"] if (self._bristle >= 0).any() else [])]

    def before_ticks(self) -> None:
        """Keeps the states, as MuJoCo's record of them is of the ends of ticks."""
        if (self._bristle >= 0).any() and self._act is not None:
            self._before = self._act.copy()

    def heating(self, rows: Worlds) -> NDArray:
        """Present heating, `(n, motors)` [K]."""
        if self._act is None:
            return np.zeros((1, self._n))
        return np.where(self._hot >= 0, self._act[rows][:, self._hot], 0.0)

    def warm(self, energy: NDArray, rows: Worlds) -> None:
        """Corrects the temperatures by heat that MuJoCo did not count, or counted too much, `(n, motors)` [J]."""
        hot = np.flatnonzero(self._hot >= 0)
        if self._act is not None and hot.size:
            self._act[grid(rows, self._hot[hot])] += energy[:, hot] / self._capacity[hot]

    def friction(self, fields: dict[str, NDArray], rows: Worlds) -> NDArray | float:
        """Torque of the bristles, which MuJoCo has taken off the motor's, at each tick `(n, ticks, motors)`."""
        if self._before is None or not (self._bristle >= 0).any():
            return 0.0
        acted = np.concatenate([self._before[rows][:, None], fields["act"][:, :-1]], axis=1)
        bent, bending = acted[..., self._bristle], fields["act_dot"][..., self._bristle]
        return np.where(self._bristle >= 0, self._stiffness * bent + self._damping * bending, 0.0)
