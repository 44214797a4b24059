"""A plain Gymnasium environment of Signpost, written the usual way, to measure ours against.

The same model and the same observation: one `MjData`, `mj_step`, `mj_multiRay`, NumPy. No needless slowness.
"""

from __future__ import annotations

import math

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium import spaces

from embodied.robot.robot import Robot

CONTROL_HZ, EPISODE_STEPS, SUBSTEPS = 10, 100, 10
GEOM_GROUPS = np.array([1, 1, 0, 0, 0, 0], np.uint8)


class PlainSignpost(gym.Env):
    """One world, stepped with `mj_step`."""

    def __init__(self, model: mujoco.MjModel, robot: Robot) -> None:
        self.model, self.robot = model, robot
        self.data = mujoco.MjData(model)
        camera = robot.line_cameras[0]
        self.camera = camera
        self.observation_space = spaces.Box(robot.layout.low, robot.layout.high, dtype=np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (len(robot.actuators),), np.float32)
        self.scale = np.array([a.scale for a in robot.actuators])
        self.site = model.site("robot/camera").id
        self.head = model.body("robot/head").id
        names = [model.geom(i).name for i in range(model.ngeom)]
        self.class_of_geom = camera.class_table(names)
        signals = [s.readings for s in robot.sensors if s.is_telemetry]  # not simulated here: read as zero
        self.sensor_columns = [
            model.sensor("robot/" + source).adr[0] + axis
            for s in robot.sensors
            if not s.is_telemetry
            for source in s.source_names
            for axis in s.axes
        ]
        self.unread = np.zeros(sum(signals))
        self.limits = np.concatenate([np.full(s.size, s.limit) for s in robot.sensors])
        self.noise = np.concatenate(
            [np.full(s.size, math.hypot(s.errors.noise, 10 * s.errors.noise_density)) for s in robot.sensors]
        )
        self.resolution = np.concatenate([np.full(s.size, s.errors.resolution or 1e-9) for s in robot.sensors])
        self.eye = np.eye(len(camera.classes), dtype=np.float32)
        self.geom_ids = np.zeros(camera.pixels, np.int32)
        self.distances = np.zeros(camera.pixels)
        self.obs = np.zeros(robot.layout.size, np.float32)
        self.pads = np.array([[-0.55, -0.9], [0.55, -0.9]])

    def reset(self, *, seed=None, options=None):
        """Starts an episode at a random pose."""
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        rng = self.np_random
        self.good = int(rng.integers(2))
        heading = rng.uniform(-math.pi, math.pi)
        self.data.qpos[:2] = rng.uniform([-0.12, -0.42], [0.12, -0.18])
        self.data.qpos[2:7] = [0.035, math.cos(heading / 2), 0, 0, math.sin(heading / 2)]
        for board, place in (
            ("pad_red", (-0.55, -1.2)),
            ("pad_blue", (0.55, -1.2)),
            ("sign_red", (0.0, 1.2)),
        ):
            mocap = self.model.body(board).mocapid[0]
            self.data.mocap_pos[mocap] = [*place, 0.0]
            turn = math.pi / 2 if place[1] < 0 else -math.pi / 2
            self.data.mocap_quat[mocap] = [math.cos(turn / 2), 0, 0, math.sin(turn / 2)]
        self.model.sensor_delay[:] = 0.0
        self.model.actuator_delay[:] = 0.0
        mujoco.mj_forward(self.model, self.data)
        self.steps = 0
        return self._observe(), {}

    def step(self, action):
        """Moves by one decision."""
        self.data.ctrl[:] = np.clip(action, -1, 1) * self.scale
        mujoco.mj_step(self.model, self.data, SUBSTEPS)
        mujoco.mj_step1(self.model, self.data)
        self.steps += 1
        distance = np.hypot(*(self.pads - self.data.qpos[:2]).T)
        right, wrong = distance[self.good] < 0.25, distance[1 - self.good] < 0.25
        reward = 1.0 * right - 0.5 * wrong - 0.001
        return self._observe(), float(reward), bool(right or wrong), self.steps >= EPISODE_STEPS, {}

    def _observe(self):
        camera, rng = self.camera, self.np_random
        n = camera.pixels
        rotation = self.data.site_xmat[self.site].reshape(3, 3)
        directions = camera.directions @ rotation.T
        mujoco.mj_multiRay(
            self.model, self.data, self.data.site_xpos[self.site], directions.ravel(), GEOM_GROUPS, 1,
            self.head, self.geom_ids, self.distances, None, n, camera.max_range,
        )  # fmt: skip
        seen = self.class_of_geom[self.geom_ids]
        lost = (self.distances < 0) | (self.distances > camera.max_range) | (rng.random(n) < camera.dropout)
        seen[lost] = 0
        noisy = self.distances * (1 + camera.range_noise * rng.standard_normal(n))
        frame = np.where(lost, camera.max_range, np.clip(noisy, 0, camera.max_range)), self.eye[seen].ravel()
        if self.steps == 0:
            self.late = frame
        ranges, classes = self.late  # a frame arrives one decision late
        self.late = frame
        self.obs[:n] = ranges
        self.obs[n : n + len(classes)] = classes
        self.obs[n + len(classes)] = 0.1
        self.obs[n + len(classes) + 1] = 1.0
        truth = np.concatenate([self.data.sensordata[self.sensor_columns], self.unread])
        readings = truth + self.noise * rng.standard_normal(len(self.noise))
        readings = np.round(readings / self.resolution) * self.resolution
        self.obs[-len(self.limits) :] = np.clip(readings, -self.limits, self.limits)
        return self.obs.copy()
