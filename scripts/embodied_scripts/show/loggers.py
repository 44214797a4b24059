"""Who watches a world: what its robots see, and what is worth noticing, for viewers and films."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.evaluation.observers import CERTAINTY
from embodied.hidden import Discrete
from embodied.layout import Layout
from embodied.mind.information import entropy_bits
from embodied.nn.policy import SequencePolicy
from embodied.robot.batched import BatchedRobot
from embodied.robot.rays.batched import BatchedRays
from embodied.robot.robot import Robot
from embodied.vector.batches import stack_observations
from embodied.view.frames import Picture, Player, RayFrame, Sensed, Trace
from embodied.view.stream import Stream
from embodied.world.duel import Versus
from embodied_policies import TransformerPolicy
from embodied_scripts.show.playing import Decision, labels_of, truth_of

MOST_ACTIONS = 24  # that are drawn


class RayHistory:
    """The beams of the frame that a line camera or ranger delivered last: they start where it was taken."""

    def __init__(self, beams: BatchedRays, layout: Layout, control_hz: float) -> None:
        self._beams = beams
        self._hz = control_hz
        late = not beams.fan.timing.immediate
        self._age = layout.slice(f"{beams.fan.name}/age") if late else None
        self._past: deque[tuple[Any, Any]] = deque(maxlen=64)

    def glance(self, obs: Any, first: bool) -> RayFrame:
        """What it sees in the first world, whose observation is `obs (dim,)`; to be called at every decision."""
        if first:
            self._past.clear()
        origin, directions = self._beams.rays()
        self._past.append((origin[0, 0].copy(), directions[0].copy()))
        lag = 0 if self._age is None else round(float(obs[self._age][0]) * self._hz)
        taken = self._past[max(-1 - lag, -len(self._past))]
        return RayFrame(*taken, self._beams.ranges[0].copy(), self._beams.seen[0].copy())


class Senses:
    """What one robot of the first world senses, decision by decision."""

    def __init__(self, body: BatchedRobot, layout: Layout, control_hz: float) -> None:
        self._camera = RayHistory(body.line_cameras[0], layout, control_hz) if body.line_cameras else None
        self._rangers = [RayHistory(ranger, layout, control_hz) for ranger in body.range_finders]

    def sense(self, obs: NDArray, first: bool) -> Sensed:
        """To be called at every decision; `obs (dim,)` is what the robot observes."""
        camera = None if self._camera is None else self._camera.glance(obs, first)
        return Sensed(obs, camera, tuple(ranger.glance(obs, first) for ranger in self._rangers))


class SceneLogger:
    """Watches the first world of an environment of this toolkit: of its robots the learner's, then the opponent's.

    Attributes:
        model: what stands in the world; None where there is no MuJoCo.
        choice: what is hidden first, if that is a choice.
    """

    def __init__(self, world: Any) -> None:
        self._world = world
        self.model: mujoco.MjModel | None = world.batch.model
        first = world.hidden[0] if world.hidden else None
        self.choice: Discrete | None = first if labels_of(first) else None
        seats = [("", world.body, world.layout, tuple(world.task.declarations))]
        self._versus = isinstance(world.unwrapped, Versus)
        if self._versus:
            other = world.other
            seats = [
                (world.mine.name, world.body, world.layout, ()),
                (other.name, world.duel.env.bodies[other.number], other.layout, ()),
            ]
        self.players = [_player(name, body.robot, says) for name, body, _, says in seats]
        self._senses = [Senses(body, layout, world.task.control_hz) for _, body, layout, _ in seats]
        self._data: Any = None

    def scene(self) -> mujoco.MjData:
        """A copy of the world as it is; the next call writes over it."""
        self._data = self._data or mujoco.MjData(self._world.batch.model)
        return self._world.batch.current_data(0, self._data)

    def sensed(self, obs: NDArray, first: bool) -> list[Sensed]:
        """What each senses now; `obs (dim,)` is the learner's observation."""
        rows = [_own(obs), self._world.facing[0]] if self._versus else [_own(obs)]
        return [senses.sense(row, first) for senses, row in zip(self._senses, rows, strict=True)]

    def actions(self, own: NDArray) -> list[NDArray]:
        """What each does; of an opponent, what it did last."""
        return [own, self._world.reply[0]] if self._versus else [own]

    def evidence(self, obs: NDArray) -> NDArray | None:
        """Log-likelihood of the observation `(dim,)` under each label, `(1, k)`; None without an exact one."""
        return self._world.log_likelihood(_own(obs)[None])

    def truth(self, hidden: NDArray) -> str:
        """What is hidden, in words."""
        return truth_of(self._world, hidden)


class ForeignSceneLogger(SceneLogger):
    """Watches the first world of somebody else's environment, as far as that can be: its MuJoCo scene and actions."""

    def __init__(self, env: Any) -> None:
        members = getattr(env, "envs", ())
        self._inner: Any = members[0].unwrapped if members else None
        model, data = (getattr(self._inner, name, None) for name in ("model", "data"))
        self.model = model if type(model).__name__ == "MjModel" and type(data).__name__ == "MjData" else None
        hidden = getattr(self._inner, "hidden", ())
        self.choice = hidden[0] if hidden and labels_of(hidden[0]) else None
        self._copy: Any = None
        shape = env.single_action_space.shape or (1,)
        names = tuple(f"action_{i}" for i in range(math.prod(shape))) if math.prod(shape) <= MOST_ACTIONS else ()
        self.players = [Player("", names)]

    def scene(self) -> Any:
        if self.model is None:
            return None
        self._copy = self._copy or mujoco.MjData(self.model)
        return mujoco.mj_copyData(self._copy, self.model, self._inner.data)

    def sensed(self, obs: Any, first: bool) -> list[Sensed]:
        return [Sensed(obs)]

    def actions(self, own: Any) -> list[NDArray]:
        return [np.ravel(own)[: len(self.players[0].actions)]]

    def evidence(self, obs: Any) -> None:
        return None

    def truth(self, hidden: Any) -> str:
        return ""


def _own(obs: Any) -> NDArray:
    """An observation without what is recalled beside it (`embodied.vector.previous_action`)."""
    return obs["obs"] if isinstance(obs, dict) else obs


def _player(name: str, robot: Robot, declarations: tuple[str, ...]) -> Player:
    at = robot.layout.slice
    pictures = [
        Picture(
            camera.name,
            at(camera.image_channels[0].name),
            camera.height,
            camera.width,
            camera.image_channels[0].high if camera.depth else None,
        )
        for camera in robot.cameras
    ]
    return Player(
        name,
        tuple(actuator.name for actuator in robot.actuators) + declarations,
        tuple(robot.line_cameras[0].classes) if robot.line_cameras else (),
        tuple(ranger.name for ranger in robot.range_finders),
        tuple(pictures),
        tuple(Trace(sensor.name, sensor.unit, at(sensor.name)) for sensor in robot.sensors),
    )


class EpisodeLogger:
    """Logs decisions of one world in a stream, and what is worth noticing: entropies, attention, and informative
    observations and certainty."""

    def __init__(
        self, stream: Stream, scene_logger: SceneLogger, policy: SequencePolicy | None, often: bool = True
    ) -> None:
        self._stream, self._scene_logger = stream, scene_logger
        self._policy = policy if attends(policy) else None
        self._often = often  # whether attention is logged at every decision
        self._seen: list[Any] = []
        self._noticed: set[str] = set()

    def begin(self, time_s: float, name: str, hidden: Any) -> None:
        """Says what is hidden in an episode that begins."""
        truth = self._scene_logger.truth(hidden)
        self._stream.event(time_s, f"{name}: {truth}" if truth else name)

    def take(self, moment: Decision, data: Any, sensed: list[Sensed]) -> None:
        """Logs one decision, made in the world `data` at what was sensed."""
        if moment.first:
            self._seen, self._noticed = [], set()
        self._seen.append(moment.obs)
        belief, observer, actions = moment.belief, moment.exact_belief, self._scene_logger.actions(moment.action)
        self._stream.step(moment.time_s, data, sensed, actions, belief, observer, moment.total)
        if moment.informative:
            self._once(moment, "looked: informative observation")
        for who, probabilities in (("agent", belief), ("observer", observer)):
            if probabilities is not None:
                self._weigh(moment, who, probabilities)
        if self._often:
            self.attend()

    def attend(self) -> None:
        """Logs where each head looks back to from the last decision."""
        if self._policy is not None and self._seen:
            attention = self._policy.introspect(stack_observations(self._seen)).inside["attention"]
            self._stream.attention(attention[:, :, -1].reshape(-1, len(self._seen)))

    def _weigh(self, moment: Decision, who: str, probabilities: NDArray) -> None:
        self._stream.entropy(who, float(entropy_bits(probabilities)))
        if max(probabilities) >= CERTAINTY:
            self._once(moment, f"certain: the {who} is {CERTAINTY:.0%} sure")

    def _once(self, moment: Decision, text: str) -> None:
        if text not in self._noticed:
            self._noticed.add(text)
            self._stream.event(moment.time_s, text)


def open_stream(
    where: str, scene_logger: SceneLogger, title: str, policy: SequencePolicy | None, curves: bool = False
) -> Stream:
    """A stream for what a scene logger sees and the policy believes; with curves where it still learns.

    Raises:
        MissingExtraError: Rerun is not installed.
        OptionError: `where` is unknown.
    """
    return Stream(
        where, scene_logger.model, title, scene_logger.players, labels_of(scene_logger.choice), attends(policy), curves
    )


def attends(policy: SequencePolicy | None) -> bool:
    """Whether a player is a network with attention that can be shown."""
    return isinstance(policy, TransformerPolicy)
