"""A task on the table of a twin: laid out anew by a pair of hands, and judged by who watches."""

from __future__ import annotations

import mujoco
import numpy as np

from embodied.deploy.twin.firmware import Firmware
from embodied.seeding import WorldStreams
from embodied.world.task import Draw, Task, World


class TaskTable:
    """What stands on a twin's table.

    Attributes:
        success, over: whether the task was fulfilled, and whether the episode is over, since it was laid out.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.success = self.over = False
        self._streams = WorldStreams(1)
        self._elapsed, self._declared = np.zeros(1), np.zeros((1, len(task.declarations)))
        self._began_s = 0.0
        self._firmware: Firmware | None = None

    def scene(self) -> mujoco.MjSpec:
        """What the twin's robot is put into."""
        return self.task.compose()

    def bind(self, firmware: Firmware) -> None:
        """Takes hold of the world in which these servos are."""
        self._firmware = firmware
        self.task.bind(World(firmware.body.batch, (), self._elapsed, self._declared))
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Lays everything out for an episode, the robot's arm included, whose servos are told to stay there."""
        assert self._firmware is not None
        batch, only = self._firmware.body.batch, np.zeros(1, np.intp)
        self._streams.seed(seed, only)
        self._streams.begin(only)
        batch.reset(only)
        self._elapsed[:] = 0.0
        self.task.begin(only, Draw(self._streams, only))
        self._firmware.rest()
        self._began_s = self._firmware.time_s
        self.success = self.over = False
        self.task.after_observation()

    def watch(self) -> None:
        """Looks at the world; to be called at the rate of decisions."""
        assert self._firmware is not None
        self._elapsed[:] = self._firmware.time_s - self._began_s
        outcome = self.task.outcome()
        if not self.over:
            self.success = bool(outcome.success.reshape(-1)[0])
            self.over = bool(outcome.terminated[0] or self._elapsed[0] >= self.task.episode_s)
        self.task.after_observation()

    @property
    def hidden(self) -> list[float]:
        """The true hidden variables."""
        return self.task.truth()[0].tolist()
