"""What robots do, sense and believe, logged to Rerun beside the scene. An observer: nothing depends on it."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
import rerun as rr
from numpy.typing import NDArray

from embodied.view.blueprint import overview
from embodied.view.curves import Curves
from embodied.view.frames import Picture, Player, RayFrame, Sensed
from embodied.view.palette import beam_colors, color_of, on_paper
from embodied.view.scene import Scene
from embodied.view.sink import close_recording, open_recording

BEAM = ("nothing", "beam")  # what the beam of a ranger met
PALE, DEEP = np.array([247, 250, 255]), np.array([8, 48, 107])  # no attention, and a head's most


class Stream:
    """One world of a task, live in a viewer, in the browser, or into a file.

    Args:
        where: as for `open_recording`.
        model: the world; None for an environment without MuJoCo.
        players: the robots in it, the learner's first.
        beliefs: the labels of the hidden variable.
        attention: whether attention will be logged, and wants a place.
        curves: whether it is of a policy that still learns, whose curves want a place.

    Raises:
        OptionError: `where` is unknown.
    """

    def __init__(
        self,
        where: str,
        model: mujoco.MjModel | None,
        title: str,
        players: Sequence[Player],
        beliefs: Sequence[str] = (),
        attention: bool = False,
        curves: bool = False,
    ) -> None:
        blueprint = overview(title, players, model is not None, bool(beliefs), attention, curves)
        self._recording, self.url = open_recording(where, blueprint, unhurried=curves)
        self._scene = None if model is None else Scene(model, self._recording)
        self._players, self._beliefs = list(players), list(beliefs)
        self.curves = Curves(self._recording) if curves else None
        self._name_series()

    def step(
        self,
        time_s: float,
        data: mujoco.MjData | None,
        sensed: Sequence[Sensed],
        actions: Sequence[NDArray],
        belief: NDArray | None,
        observer: NDArray | None,
        reward: float,
    ) -> None:
        """Logs one decision.

        Args:
            time_s: time since the recording began [s].
            data: the world, current.
            sensed, actions: of each player.
            belief: the first player's own probabilities, `(k,)`, if it has them.
            observer: the exact filter's probabilities, `(k,)`, if the task has one.
            reward: the return so far.
        """
        self._recording.set_time("time", duration=time_s)
        if self._scene is not None and data is not None:
            self._scene.log(data)
        for player, senses, action in zip(self._players, sensed, actions, strict=True):
            self._log_senses(player, senses)
            for name, value in zip(player.actions, action, strict=True):
                self._scalar(player.path(f"actions/{name}"), value)
        for who, probabilities in (("agent", belief), ("observer", observer)):
            if probabilities is not None:
                for name, p in zip(self._beliefs, probabilities, strict=True):
                    self._scalar(f"belief/{who}/{name}", p)
        self._scalar("reward/return", reward)

    def entropy(self, who: str, bits: float) -> None:
        """Logs how uncertain somebody is, at the time of the last step [bits]."""
        self._scalar(f"entropy/{who}", bits)

    def attention(self, weights: NDArray) -> None:
        """Logs where each head looks back to, `(heads, decisions so far)`, at the time of the last step."""
        shares = weights / np.maximum(weights.max(axis=1, keepdims=True), 1e-12)
        self._picture("attention/heads", PALE + (DEEP - PALE) * shares[..., None])

    def end(self, time_s: float, text: str, total: float) -> None:
        """Logs how an episode ended, and its whole return."""
        self.event(time_s, text)
        self._scalar("reward/return", total)

    def event(self, time_s: float, text: str) -> None:
        """Logs something worth noticing."""
        self._recording.set_time("time", duration=time_s)
        self._recording.log("events", rr.TextLog(text))

    def close(self) -> None:
        """Writes out what is still buffered; gives up on a viewer that has gone."""
        close_recording(self._recording)

    def _name_series(self) -> None:
        """Gives every trace a name and a color once."""
        for i, name in enumerate(self._beliefs):
            color = color_of(name, i)
            self._line(f"belief/agent/{name}", f"agent: {name}", color, 2.5)
            self._line(f"belief/observer/{name}", f"ideal observer: {name}", (*color, 90), 1.5)
        for who, gray in (("agent", (40, 60, 90)), ("observer", (150, 160, 175))):
            self._line(f"entropy/{who}", who, gray)
        for player in self._players:
            for name in player.actions:
                self._line(player.path(f"actions/{name}"), name.replace("_", " "))
            for trace in player.traces:
                self._line(player.path(f"sensors/{trace.name}"), f"{trace.name.replace('_', ' ')} [{trace.unit}]")
        self._line("reward/return", "return", (60, 160, 90))

    def _line(self, path: str, name: str, color: tuple[int, ...] | None = None, width: float | None = None) -> None:
        colors = None if color is None else [color]
        self._recording.log(path, rr.SeriesLines(names=name, colors=colors, widths=width), static=True)

    def _log_senses(self, player: Player, sensed: Sensed) -> None:
        if sensed.camera is not None:
            self._log_beams(f"world/rays/{player.name}".rstrip("/"), player.classes, sensed.camera)
            self._log_line(player, sensed.camera)
        for name, glance in zip(player.range_finders, sensed.range_finders, strict=True):
            self._log_beams(f"world/rays/{player.path(name)}", BEAM, glance)
        for picture in player.pictures:
            self._picture(player.path(f"pictures/{picture.name}"), _pixels(picture, sensed.obs))
        for trace in player.traces:
            self._recording.log(player.path(f"sensors/{trace.name}"), rr.Scalars(sensed.obs[trace.part]))

    def _log_beams(self, path: str, classes: Sequence[str], glance: RayFrame) -> None:
        strips = np.stack([np.broadcast_to(glance.origin, glance.ends.shape), glance.ends], axis=1)
        colors = on_paper(beam_colors(classes, glance.seen))
        self._recording.log(path, rr.LineStrips3D(strips, colors=colors, radii=0.003))

    def _log_line(self, player: Player, glance: RayFrame) -> None:
        """A row of pixels: what was met above, how near it is below."""
        classes = np.array([color_of(name) for name in player.classes])[glance.seen]
        near = 255 * (1 - glance.ranges / max(glance.ranges.max(), 1e-6))
        rows = np.stack([classes, np.repeat(near[:, None], 3, axis=1)])
        self._picture(player.path("camera/line"), np.repeat(rows, 2, axis=0))

    def _picture(self, path: str, colors: NDArray) -> None:
        """Logs a picture pixel by pixel; the viewer magnifies it."""
        pixels = np.clip(colors, 0, 255).astype(np.uint8)
        self._recording.log(path, rr.Image(pixels))

    def _scalar(self, path: str, value: float) -> None:
        self._recording.log(path, rr.Scalars(float(value)))


def _pixels(picture: Picture, obs: NDArray) -> NDArray:
    """Colors of a camera's picture, `(height, width, 3)`, near is bright where distances are seen."""
    pixels = obs[picture.part].reshape(picture.height, picture.width, -1)
    shares = pixels if picture.far is None else np.repeat(1 - pixels / picture.far, 3, axis=2)
    return 255 * shares
