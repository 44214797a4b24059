"""What a person sees of a policy that still learns: its curves, and now and then one world of the many."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter

from embodied.learn.learner import SequenceLearner
from embodied.vector.vec import Experience
from embodied_scripts.show.loggers import EpisodeLogger, ForeignSceneLogger, SceneLogger, open_stream
from embodied_scripts.show.playing import Decision, HistoryFilter

LONGEST = 300  # decisions of an episode that are shown
BUDGET = 0.02  # of the time of training, at most, is spent on showing
CURVES = {
    "rollout/ep_rew_mean": "return",
    "rollout/success_rate": "success",
    "rollout/belief_bits": "belief bits",
    "train/entropy_loss": "entropy loss",
    "train/approx_kl": "approx kl",
    "train/value_loss": "value loss",
    "train/explained_variance": "explained variance",
    "time/fps": "steps per second",
}


class Live(BaseCallback):
    """Logs the curves of a training, and the first world for an episode every so many seconds.

    An observer: it draws no random number and changes nothing. Episodes are left out while showing has taken more than
    `BUDGET` of the time.

    Args:
        where: as for `open_recording`.
        every_s: time from the beginning of one episode that is shown to that of the next [s].
    """

    def __init__(self, where: str, model: SequenceLearner, title: str, every_s: float) -> None:
        super().__init__()
        world: Any = model.env.gym_env.unwrapped  # type: ignore[union-attr]
        scene_logger = SceneLogger(world) if hasattr(world, "task") else ForeignSceneLogger(world)
        self._stream = open_stream(where, scene_logger, title, model.policy, curves=True)
        self.url = self._stream.url
        self._episode_logger = EpisodeLogger(self._stream, scene_logger, model.policy, often=False)
        self._episode = _Episode(scene_logger)
        self._every_s, self._due_s, self._spent_s = every_s, 0.0, 0.0
        self._begun = time.monotonic()
        self._watching = False

    def writer(self) -> KVWriter:
        """What a logger writes to, so that its figures become curves."""
        return _CurveWriter(self)

    def draw(self, figures: dict[str, Any], steps: int) -> None:
        """Logs the figures of an update."""
        known = {name: figures[key] for key, name in CURVES.items() if key in figures}
        assert self._stream.curves is not None
        self._stream.curves.log(self._now_s, steps, known)

    def _on_step(self) -> bool:
        begun = time.perf_counter()
        experience: Experience = self.locals["experience"]
        if self._watching:
            self._show(experience)
        elif experience.ended[0] and self._is_due:
            self._begin(experience)
        self._spent_s += time.perf_counter() - begun
        return True

    def close(self) -> None:
        """Writes out what is still buffered."""
        self._stream.close()

    @property
    def _now_s(self) -> float:
        return time.monotonic() - self._begun

    @property
    def _is_due(self) -> bool:
        return self._now_s >= self._due_s and self._spent_s <= BUDGET * self._now_s

    def _begin(self, experience: Experience) -> None:
        self._watching, self._due_s = True, self._now_s + self._every_s
        self._episode.begin(experience)
        hidden = experience.privileged.get("hidden", np.zeros((1, 0)))[0]
        self._episode_logger.begin(self._now_s, f"after {self.num_timesteps:,} steps", hidden)

    def _show(self, experience: Experience) -> None:
        """Logs the decision that was just carried out, made at what was seen before it."""
        moment = self._episode.decision(self.model, self.locals["t"], self._now_s)
        self._episode_logger.take(moment, self._episode.scene, self._episode.sensed)
        self._episode.go_on(experience)
        if experience.ended[0] or self._episode.decisions == LONGEST:
            self._watching = False
            self._episode_logger.attend()
            self._stream.end(self._now_s, _ending(experience, self._episode.total), self._episode.total)


class _Episode:
    """An episode of the first world of a training, decision by decision."""

    def __init__(self, scene_logger: SceneLogger) -> None:
        self._scene_logger = scene_logger
        self._copy: Any = None

    def begin(self, experience: Experience) -> None:
        """Looks at the world in which an episode has just begun."""
        self._history = HistoryFilter(self._scene_logger.choice)
        self.total, self.decisions = 0.0, 0
        self._look(experience)

    def _look(self, experience: Experience) -> None:
        self._obs = _first_row(experience.obs)
        self.scene = self._scene_logger.scene()
        self.sensed = self._scene_logger.sensed(self._obs, self.decisions == 0)

    def decision(self, model: Any, t: int, time_s: float) -> Decision:
        """What was decided at step `t` of the rollout."""
        posterior, informative = self._history.see(self._scene_logger.evidence(self._obs), self.decisions == 0)
        policy, rollout = model.policy, model.rollout_buffer
        belief = None
        if model._belief_now is not None:
            belief = policy.belief_layout.probabilities(model._belief_now[:1])
        return Decision(
            time_s=time_s,
            first=self.decisions == 0,
            obs=self._obs,
            action=policy.action_head.to_env(rollout.action[:1, t])[0],
            belief=None if belief is None else belief[0].cpu().numpy(),
            exact_belief=posterior,
            total=self.total,
            informative=informative,
        )

    def go_on(self, experience: Experience) -> None:
        """Takes note of what a decision led to."""
        self.total += float(experience.reward[0])
        self.decisions += 1
        self._look(experience)


class _CurveWriter(KVWriter):
    def __init__(self, live: Live) -> None:
        self._live = live

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self._live.draw(key_values, step)

    def close(self) -> None:
        """There is nothing to close."""


def _ending(experience: Experience, total: float) -> str:
    if not experience.ended[0]:
        return f"shown so far: return {total:+.2f}"
    success = experience.success
    outcome = "" if success is None else "success, " if success[0] else "failure, "
    return f"{outcome}return {total:+.2f}"


def _first_row(obs: Any) -> Any:
    return {name: part[0] for name, part in obs.items()} if isinstance(obs, dict) else obs[0]
