"""Carries out a randomisation: draws for each world from its own stream, and writes to its body and its model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from embodied.distributions import EDGE, Distribution
from embodied.errors import OptionError, UnknownNameError
from embodied.physics.batch import Batch
from embodied.physics.targets import Target, find_targets
from embodied.randomisation import Randomisation, Vary, Widening
from embodied.seeding import WorldStreams
from embodied.world.body import Body

NO_PROBE = -1
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
        window: between which quantiles of its distribution each is drawn, `(len(names), 2)`.

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
        self._widening = what.widening if names else None
        begin = self._widening.begin if self._widening else 1.0
        self.window = np.tile([0.5 - begin / 2, 0.5 + begin / 2], (len(names), 1))
        self._luck = streams.stream(("randomise/probe", 2))
        self._probing = np.full(batch.n, NO_PROBE)  # 2 · column + side
        self._tries, self._wins = np.zeros((2, 2 * len(names)))

    def begin(self, worlds: Rows, replay: NDArray | None = None) -> None:
        """Draws for new episodes in `worlds`, or takes what is to be replayed, `(N, len(names))`, and writes it."""
        if not self._lanes:
            return
        if replay is not None:
            self.drawn[worlds] = replay[worlds]
            self._probing[worlds] = NO_PROBE
        else:
            u = self._windowed(self._uniform.uniform(0, worlds=worlds))
            if self._widening is not None:
                self._probe(u, worlds, self._widening)
            first = self._streams.episodes[worlds] == 1
            for lane in self._lanes:
                new = first if lane.vary.when == "build" else np.ones(len(worlds), bool)
                if new.any():
                    self.drawn[worlds[new], lane.columns] = lane.by.quantile(u[new, lane.columns])
                self._forget_probes(lane, worlds[~new])
        self._write(self._lanes, worlds)

    def renew(self, steps: NDArray, worlds: Rows) -> None:
        """Draws anew, before decision `steps (n,)` of `worlds`, what changes within an episode."""
        if not self._renews:
            return
        for k, lane in enumerate(self._lanes):
            due = (steps % lane.every == 0) & (steps > 0) if lane.every else np.zeros(0, bool)
            if due.any():
                u = self._windowed(self._uniform.uniform(steps[due], worlds=worlds[due]))
                self.drawn[worlds[due], lane.columns] = lane.by.quantile(u[:, lane.columns])
                self._write([later for later in self._lanes[k:] if later.of_model], worlds[due])

    def learn(self, ended: NDArray[np.bool_], success: NDArray[np.bool_]) -> None:
        """Moves the window where episodes that probed it have `ended`, by their `success`, `(N,)` each."""
        if self._widening is None:
            return
        probes = self._probing[ended & (self._probing >= 0)]
        np.add.at(self._tries, probes, 1)
        np.add.at(self._wins, self._probing[ended & success & (self._probing >= 0)], 1)
        for probe in np.flatnonzero(self._tries >= self._widening.episodes):
            self._move(*divmod(int(probe), 2), self._wins[probe] / self._tries[probe], self._widening)
            self._tries[probe] = self._wins[probe] = 0

    def _move(self, column: int, side: int, success: float, how: Widening) -> None:
        """Moves one quantile outwards or back, never across where it began."""
        outwards = how.step if success >= how.wider else -how.step if success < how.narrower else 0.0
        reach = abs(self.window[column, side] - 0.5)
        reach = float(np.clip(reach + outwards, how.begin / 2, 0.5))
        self.window[column, side] = 0.5 + (reach if side else -reach)

    def _windowed(self, u: NDArray) -> NDArray:
        low, high = self.window.T
        return low + (high - low) * u

    def _probe(self, u: NDArray, worlds: Rows, how: Widening) -> None:
        """Puts one number of some worlds at the end of its window."""
        luck = self._luck.uniform(0, worlds=worlds)
        which = np.minimum((luck[:, 1] * u.shape[1] * 2).astype(int), 2 * u.shape[1] - 1)
        probes = luck[:, 0] < how.probing
        self._probing[worlds] = np.where(probes, which, NO_PROBE)
        rows = np.flatnonzero(probes)
        column, side = np.divmod(which[rows], 2)
        u[rows, column] = np.minimum(self.window[column, side], 1 - EDGE)

    def _forget_probes(self, lane: _Lane, kept: Rows) -> None:
        """Worlds that keep what they drew before do not probe it."""
        column = self._probing[kept] // 2
        mine = (self._probing[kept] >= 0) & (column >= lane.columns.start) & (column < lane.columns.stop)
        self._probing[kept[mine]] = NO_PROBE

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
