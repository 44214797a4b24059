"""A task: what stands in the world, what is hidden in it, and what counts as success."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.contract import Contract
from embodied.errors import OptionError
from embodied.hidden import Extras, Hidden
from embodied.layout import Channel, Layout, joined
from embodied.physics.batch import Batch
from embodied.randomization.spec import Randomization
from embodied.robot.batched import BatchedRobot
from embodied.robot.robot import Robot
from embodied.seeding import WorldStreams
from embodied.world.observation import ObservationForm

ROBOT_PREFIX = "robot/"


@dataclass
class World:
    """What a task is given: the batch, the bodies in it, and the clock of each world."""

    batch: Batch
    bodies: tuple[BatchedRobot, ...]
    elapsed_s: NDArray[np.float64]  # (N,)
    declared: NDArray[np.float64]  # (N, len(task.declarations)), declaration actions of the last decision, in [-1, 1]

    @property
    def body(self) -> BatchedRobot:
        """The body, or the first of several."""
        return self.bodies[0]


@dataclass(frozen=True)
class Outcome:
    """What the last step meant in each world, `(N,)` each."""

    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    success: NDArray[np.bool_]


@dataclass(frozen=True)
class Draw:
    """Random draws for a new episode in some worlds; each name is a stream of its own."""

    streams: WorldStreams
    worlds: NDArray[np.intp]

    def uniform(self, name: str, size: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """Returns uniforms on [low, high), `(n, size)`."""
        return self.streams.stream((f"begin/{name}", size)).uniform(0, low, high, self.worlds)

    def choice(self, name: str, prior: tuple[float, ...]) -> NDArray[np.intp]:
        """Returns one index per world, `(n,)`, drawn from `prior`."""
        edges = np.cumsum(prior)[:-1]
        return np.searchsorted(edges, self.uniform(name, 1)[:, 0], side="right")

    def distinct(self, name: str, size: int, among: int) -> NDArray[np.intp]:
        """Returns `size` different indices below `among` per world, `(n, size)`."""
        if size > among:
            raise OptionError(f"cannot place {size} things on {among} places")
        return np.argsort(self.uniform(name, among), axis=1, kind="stable")[:, :size]


class Task(ABC):
    """One file per task subclasses this; all methods work on all worlds, or on those named, at once.

    Attributes:
        robot: the body; its layout is the observation.
        control_hz: rate of decisions.
        episode_s: time limit; longer episodes are truncated.
        hidden: the hidden variables, in the order of the columns of `truth`.
        shaping_curriculum: for what share of a training the potential should guide a learner (see `SequencePPO`); for
            tasks whose reward chance hardly ever meets.
        randomization: what differs from world to world unless the environment is made with another one.
        exact_evidence: whether `evidence` is a log-likelihood that can be believed as it is; otherwise planners compare
            it with what they see in imagined worlds under every value.
        declarations: what the robot can say beside moving, such as "here it is": further actions, which
            `world.declared` holds.
    """

    control_hz: ClassVar[float] = 10.0
    shaping_curriculum: ClassVar[float] = 0.0
    declarations: ClassVar[tuple[str, ...]] = ()
    exact_evidence: ClassVar[bool] = True
    randomization: ClassVar[Randomization] = Randomization()
    robot: Robot
    episode_s: float
    hidden: tuple[Hidden, ...]

    @property
    def robots(self) -> dict[str, Robot]:
        """The bodies, by the prefix that their names carry in the model."""
        return {ROBOT_PREFIX: self.robot}

    @property
    def action_layout(self) -> Layout:
        """What the numbers of an action are: commands of the actuators, then declarations.

        The bounds of a channel are what −1 and 1 mean.
        """
        return joined({prefix: robot.commands for prefix, robot in self.robots.items()}).extended(
            Channel(name, 1, -1.0, 1.0, "declared above 0") for name in self.declarations
        )

    @abstractmethod
    def compose(self) -> mujoco.MjSpec:
        """Returns the arena and what stands in it; the environment adds the robot."""

    @abstractmethod
    def bind(self, world: World) -> None:
        """Looks up, once, the arrays that the other methods read and write."""

    @abstractmethod
    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        """Draws a new episode in `worlds`: places things and decides what is hidden."""

    @abstractmethod
    def outcome(self) -> Outcome:
        """Judges the step that was just made, in all worlds."""

    def filter_actions(self, actions: NDArray) -> NDArray:
        """Returns the commands of the actuators, and the declarations, that actions `(N, k)` come to.

        For tasks whose rules forbid some, or in which actions mean something else (see `action_layout`).
        """
        return actions

    def before_observation(self) -> None:
        """Sets, before every frame, what the surroundings do to the sensors, such as darkness."""
        return None

    def after_observation(self) -> None:
        """Takes note, after every frame, of what the history has shown so far; for tasks that need it."""
        return None

    @abstractmethod
    def truth(self) -> NDArray[np.float64]:
        """The hidden variables, `(N, k)`; a discrete one is the index of its label."""

    def set_hidden(self, hidden: NDArray[np.float64]) -> None:
        """Lets the hidden variables be others, `(N, k)`, and leaves everything else as it is.

        Raises:
            OptionError: the task cannot.
        """
        raise OptionError(f"{type(self).__name__} cannot imagine other hidden variables: it has no `set_hidden`")

    def landmarks(self) -> dict[str, NDArray[np.float64]]:
        """Places by name, `(N, 2)` [m], for a planner's default options; they must not tell what is hidden."""
        return {}

    @abstractmethod
    def state(self) -> NDArray[np.float64]:
        """The privileged state for critics, `(N, d)`, scaled to about [-1, 1]; not the hidden variables."""

    def potential(self) -> NDArray[np.float64]:
        """Potential of a shaping signal (Ng, Harada & Russell 1999), `(N,)`; never part of the reward."""
        return np.zeros(len(self.truth()))

    def log_likelihood(self, obs: NDArray) -> NDArray[np.float64] | None:
        """Log-probability of each observation under each value of the discrete hidden variable, `(n, k)`.

        Up to a term that is the same for all values. None where the task knows no exact one.
        """
        return None

    def evidence(self, obs: NDArray) -> NDArray[np.float64] | None:
        """The same for what every world has just observed, `(N, dim)`, where it may be known how everything stands.

        By this a planner judges what it saw; only what is hidden must not be used.
        """
        return self.log_likelihood(obs)


class TaskMetadata:
    """What environments show of their task to those who measure: the hidden variables and the exact likelihood."""

    task: Task
    form: ObservationForm
    contract: Contract | None = None  # what a policy that is trained here can count on

    @property
    def action_layout(self) -> Layout:
        """What the numbers of an action are; the bounds of a channel are what −1 and 1 mean."""
        return self.task.action_layout

    @property
    def hidden(self) -> tuple[Hidden, ...]:
        """The hidden variables, as declared."""
        return self.task.hidden

    @property
    def embodied_extras(self) -> Extras:
        """What the environment tells beyond Gymnasium's interface."""
        return Extras(self.hidden, self.contract)

    @property
    def shaping_curriculum(self) -> float:
        """How long the task recommends that learners be guided."""
        return self.task.shaping_curriculum

    def log_likelihood(self, obs: Any) -> NDArray | None:
        """Exact log-likelihood of observations `(n, …)` under each hidden value (see `Task`)."""
        return self.task.log_likelihood(self.form.rows(obs))

    def evidence(self, obs: Any) -> NDArray[np.float64]:
        """Log-likelihood of what all worlds have just observed, `(N, …)`, knowing how everything stands (see `Task`).

        Raises:
            OptionError: the task knows none.
        """
        evidence = self.task.evidence(self.form.rows(obs))
        if evidence is None:
            raise OptionError(f"{type(self.task).__name__} knows no likelihood of its hidden variable")
        return evidence
