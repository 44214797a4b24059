"""Carries out a randomisation: draws for each world from its own stream, and writes to its body and its model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from embodied.distributions import Distribution
from embodied.errors import OptionError, UnknownNameError
from embodied.physics.batch import Batch
from embodied.physics.targets import Target, find_targets
from embodied.randomisation import Randomisation, Vary
from embodied.seeding import WorldStreams
from embodied.world.body import Body
from embodied.world.curriculum import curriculum_of

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Place:
    """Where values go: one parameter of a body, or one quantity of the model."""

    name: str
    nominal: NDArray[np.float64]  # (columns,)
    write: Callable[[NDArray, Rows], None]  # values (n, columns), worlds
    of_model: bool
    derives: bool


@dataclass(frozen=True)
class _Lane:
    """One draw: which columns of all draws it fills, and where each of them goes."""

    vary: Vary
    by: Distribution
    first: int
    places: tuple[tuple[Place, ...], ...]  # by column
    every: int  # decisions; 0 for never within an episode

    @property
    def columns(self) -> slice:
        return slice(self.first, self.first + len(self.places))

    @property
    def of_model(self) -> bool:
        """Whether it can be written within an episode."""
        return all(place.of_model for some in self.places for place in some)


class Randomiser:
    """The randomisation of N worlds.

    Attributes:
        names: of what is drawn.
        drawn: the draws, `(N, len(names))`: values, factors or summands, as declared.

    Raises:
        UnknownNameError: something varies that neither body nor model has.
        OptionError: a parameter of a body is to change within an episode.
    """

    def __init__(
        self, what: Randomisation, batch: Batch, bodies: Sequence[Body], streams: WorldStreams, decision_s: float
    ) -> None:
        self._batch, self._streams = batch, streams
        self._lanes: list[_Lane] = []
        names: list[str] = []
        for vary in what.vary:
            matched = [places_of(pattern, batch, bodies) for pattern in vary.names]
            together = [tuple(tuple(some) for some in matched)]
            groups = [((place,),) for place in matched[0]] if vary.each else together
            for group in groups:
                every = 0 if vary.every_s is None else max(1, round(vary.every_s / decision_s))
                for place in (p for some in group for p in some):
                    if every and not place.of_model:
                        raise OptionError(f"{place.name} can change at a reset only; leave out every_s")
                self._lanes.append(_Lane(vary, vary.by, len(names), group, every))
                names += [some[0].name for some in group] if vary.each else list(vary.names)
        self.names = tuple(names)
        self.drawn = np.zeros((batch.n, len(names)))
        self._uniform = streams.stream(*((f"randomise/{k}/{name}", 1) for k, name in enumerate(names)))
        self._renews = any(lane.every for lane in self._lanes)
        self._curriculum = curriculum_of(what.curriculum, streams, len(names))

    def begin(self, worlds: Rows, replay: NDArray | None = None) -> None:
        """Draws for new episodes in `worlds`, or takes what is to be replayed, `(N, len(names))`, and writes it."""
        if not self._lanes:
            return
        if replay is not None:
            self.drawn[worlds] = replay[worlds]
            self._forget(slice(0, len(self.names)), worlds)
        else:
            u = self._uniform.uniform(0, worlds=worlds)
            if self._curriculum is not None:
                u = self._curriculum.begin(u, worlds)
            first = self._streams.episodes[worlds] == 1
            for lane in self._lanes:
                new = first if lane.vary.when == "build" else np.ones(len(worlds), bool)
                if new.any():
                    self.drawn[worlds[new], lane.columns] = lane.by.quantile(u[new, lane.columns])
                self._forget(lane.columns, worlds[~new])
        self._write(self._lanes, worlds)

    def renew(self, steps: NDArray, worlds: Rows) -> None:
        """Draws anew, before decision `steps (n,)` of `worlds`, what changes within an episode."""
        if not self._renews:
            return
        for k, lane in enumerate(self._lanes):
            due = (steps % lane.every == 0) & (steps > 0) if lane.every else np.zeros(0, bool)
            if due.any():
                u = self._uniform.uniform(steps[due], worlds=worlds[due])
                if self._curriculum is not None:
                    u = self._curriculum.spread(u)
                self.drawn[worlds[due], lane.columns] = lane.by.quantile(u[:, lane.columns])
                self._forget(lane.columns, worlds[due])
                self._write([later for later in self._lanes[k:] if later.of_model], worlds[due])

    def learn(self, ended: NDArray[np.bool_], success: NDArray[np.bool_]) -> None:
        """Lets the curriculum, if there is one, take in how episodes `ended`, `(N,)` each."""
        if self._curriculum is not None:
            self._curriculum.learn(ended, success)

    @property
    def window(self) -> NDArray[np.float64]:
        """Between which quantiles of its distribution each number is drawn, `(len(names), 2)`."""
        everything = np.tile([0.0, 1.0], (len(self.names), 1))
        return everything if self._curriculum is None else self._curriculum.window

    def _forget(self, columns: slice, worlds: Rows) -> None:
        """What worlds keep from before says nothing about what is drawn now."""
        if self._curriculum is not None and len(worlds):
            self._curriculum.forget(columns, worlds)

    def _write(self, lanes: Sequence[_Lane], worlds: Rows) -> None:
        derives = False
        for lane in lanes:
            for column, places in zip(range(lane.first, lane.first + len(lane.places)), lane.places, strict=True):
                drawn = self.drawn[worlds, column][:, None]
                for place in places:
                    place.write(_applied(lane.vary.how, place.nominal, drawn), worlds)
                    derives |= place.derives
        if derives:
            self._batch.derive(worlds)


def _applied(how: str, nominal: NDArray, drawn: NDArray) -> NDArray:
    if how == "scale":
        return nominal * drawn
    return nominal + drawn if how == "add" else np.broadcast_to(drawn, (len(drawn), len(nominal)))


def places_of(pattern: str, batch: Batch, bodies: Sequence[Body]) -> list[Place]:
    """What a pattern means: parameters of bodies first, else quantities of the model."""
    literal = pattern.replace("[", "[[]")
    found, known = [], []
    for body in bodies:
        for name in body.parameter_names():
            full = f"{body.prefix}{name}"
            known.append(name)
            if fnmatchcase(name, literal) or fnmatchcase(full, literal):
                found.append(_of_body(full, body.parameter(name)))
    if found:
        return found
    if "/" in pattern and "[" not in pattern:
        raise UnknownNameError("parameter", pattern, known)
    return [_of_model(target, batch) for target in find_targets(batch.model, pattern)]


def _of_body(name: str, values: NDArray) -> Place:
    def write(new: NDArray, worlds: Rows) -> None:
        values[worlds] = new

    return Place(name, values[0].copy(), write, of_model=False, derives=False)


def _of_model(target: Target, batch: Batch) -> Place:
    target.write(batch, np.tile(target.nominal(batch.model), (batch.n, 1)))  # expands the field once, before any step

    def write(new: NDArray, worlds: Rows) -> None:
        target.write(batch, new, worlds)

    return Place(target.name, target.nominal(batch.model), write, of_model=True, derives=target.derives)
