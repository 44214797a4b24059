"""Carries out a randomization: draws for each world from its own stream, and writes to its body and its model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError, UnknownNameError
from embodied.patterns import matches
from embodied.physics.batch import Batch
from embodied.physics.names import DENSITY, table_of
from embodied.physics.targets import Target, derive_if_needed, find_targets
from embodied.randomization.curriculum import curriculum_of
from embodied.randomization.distributions import Distribution
from embodied.randomization.possible import REDRAWS, Part, Possible, Row, applied
from embodied.randomization.spec import Randomization, RandomizationTerm
from embodied.randomization.support import Support, support_of_field, support_of_parameter
from embodied.robot.batched import BatchedRobot
from embodied.seeding import WorldStreams

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Place:
    """Where values go: one parameter of a body, or one quantity of the model.

    Attributes:
        nominal: `(columns,)`; write: takes values `(n, columns)` and worlds.
        target: the quantity of the model; None for a parameter of a body.
        row: the numbers that belong together with it, and what they can be; None for anything.
        columns: its own of them.
    """

    name: str
    nominal: NDArray[np.float64]
    write: Callable[[NDArray, Rows], None]
    target: Target | None
    row: tuple[str, Support, NDArray[np.float64]] | None
    columns: tuple[int, ...]


@dataclass(frozen=True)
class _Group:
    """One draw: which columns of all draws it fills, and where each of them goes."""

    terms: RandomizationTerm
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
        return all(place.target is not None for some in self.places for place in some)


class Randomizer:
    """The randomization of N worlds.

    Attributes:
        names: of what is sampled.
        sampled: the draws, `(N, len(names))`: values, factors or summands, as declared.

    Raises:
        UnknownNameError: something varies that neither body nor model has.
        OptionError: a parameter of a body is to change within an episode.
    """

    def __init__(
        self,
        what: Randomization,
        batch: Batch,
        bodies: Sequence[BatchedRobot],
        streams: WorldStreams,
        decision_s: float,
    ) -> None:
        self._batch, self._streams = batch, streams
        self._groups: list[_Group] = []
        names: list[str] = []
        for terms in what.terms:
            matched = [_effective(places_of(pattern, batch, bodies), terms.how) for pattern in terms.names]
            together = [tuple(tuple(some) for some in matched)]
            groups = [((place,),) for place in matched[0]] if terms.each else together
            for group in groups:
                every = 0 if terms.every_s is None else max(1, round(terms.every_s / decision_s))
                for place in (p for some in group for p in some):
                    if every and place.target is None:
                        raise OptionError(f"{place.name} can change at a reset only; leave out every_s")
                self._groups.append(_Group(terms, terms.by, len(names), group, every))
                names += [some[0].name for some in group] if terms.each else list(terms.names)
        self.names = tuple(names)
        self.sampled = np.zeros((batch.n, len(names)))
        self._uniform = streams.stream(*((f"randomise/{k}/{name}", 1) for k, name in enumerate(names)))
        self._again = streams.stream(*((f"randomise/{k}/{name}/again", 1) for k, name in enumerate(names)))
        _check_densities(self._groups)
        self._possible = self._possible_rows()
        self._renews = any(group_.every for group_ in self._groups)
        self._curriculum = curriculum_of(what.curriculum, streams, len(names))

    def begin(self, worlds: Rows, replay: NDArray | None = None) -> None:
        """Draws for new episodes in `worlds`, or takes what is to be replayed, `(N, len(names))`, and writes it."""
        if not self._groups:
            return
        if replay is not None:
            self.sampled[worlds] = replay[worlds]
            self._forget(slice(0, len(self.names)), worlds)
            self._possible.settle(self.sampled[worlds], (), lambda group_, rows, attempt: None)
        else:
            u = self._uniform.uniform(0, worlds=worlds)
            if self._curriculum is not None:
                u = self._curriculum.begin(u, worlds)
            first = self._streams.episodes[worlds] == 1
            for group_ in self._groups:
                new = first if group_.terms.when == "build" else np.ones(len(worlds), bool)
                if new.any():
                    self.sampled[worlds[new], group_.columns] = group_.by.quantile(u[new, group_.columns])
                self._forget(group_.columns, worlds[~new])
            self._settle(range(len(self._groups)), np.zeros(len(worlds), np.int64), worlds)
        self._write(self._groups, worlds)

    def renew(self, steps: NDArray, worlds: Rows) -> None:
        """Draws anew, before decision `steps (n,)` of `worlds`, what changes within an episode."""
        if not self._renews:
            return
        for k, group_ in enumerate(self._groups):
            due = (steps % group_.every == 0) & (steps > 0) if group_.every else np.zeros(0, bool)
            if due.any():
                u = self._uniform.uniform(steps[due], worlds=worlds[due])
                if self._curriculum is not None:
                    u = self._curriculum.spread(u)
                self.sampled[worlds[due], group_.columns] = group_.by.quantile(u[:, group_.columns])
                self._forget(group_.columns, worlds[due])
                self._settle([k], steps[due], worlds[due])
                self._write([later for later in self._groups[k:] if later.of_model], worlds[due])

    def learn(self, ended: NDArray[np.bool_], success: NDArray[np.bool_]) -> None:
        """Lets the curriculum, if there is one, take in how episodes `ended`, `(N,)` each."""
        if self._curriculum is not None:
            self._curriculum.learn(ended, success)

    @property
    def window(self) -> NDArray[np.float64]:
        """Between which quantiles of its distribution each number is sampled, `(len(names), 2)`."""
        everything = np.tile([0.0, 1.0], (len(self.names), 1))
        return everything if self._curriculum is None else self._curriculum.window

    def _forget(self, columns: slice, worlds: Rows) -> None:
        """What worlds keep from before says nothing about what is sampled now."""
        if self._curriculum is not None and len(worlds):
            self._curriculum.forget(columns, worlds)

    def _possible_rows(self) -> Possible:
        """What draws can be; raises OptionError for declarations of what cannot be."""
        possible = Possible()
        for k, group_ in enumerate(self._groups):
            for number, places in enumerate(group_.places):
                for place in places:
                    if place.row is not None:
                        name, support, nominal = place.row
                        part = Part(k, group_.first + number, place.columns, group_.terms.how, place.nominal)
                        possible.add(name, Row(name, support, nominal), part, group_.by, number)
        return possible

    def _settle(self, groups: Sequence[int], steps: NDArray, worlds: Rows) -> None:
        """Draws groups again where what was drawn in `worlds`, at decision `steps (n,)`, is impossible."""
        if not self._possible.uncertain:
            return
        sampled = self.sampled[worlds]

        def redraw(k: int, rows: Rows, attempt: int) -> None:
            columns = self._groups[k].columns
            u = self._again.uniform(steps[rows] * REDRAWS + attempt, worlds=worlds[rows])
            if self._curriculum is not None:
                u = self._curriculum.spread(u)
            sampled[rows, columns] = self._groups[k].by.quantile(u[:, columns])
            self._forget(columns, worlds[rows])

        self._possible.settle(sampled, groups, redraw)
        self.sampled[worlds] = sampled

    def _write(self, groups: Sequence[_Group], worlds: Rows) -> None:
        written: list[Target] = []
        for group_ in groups:
            for number, places in enumerate(group_.places):
                sampled = self.sampled[worlds, group_.first + number][:, None]
                for place in places:
                    place.write(applied(group_.terms.how, place.nominal, sampled), worlds)
                    written += [place.target] if place.target is not None else []
        derive_if_needed(self._batch, written, worlds)


def _effective(places: list[Place], how: str) -> list[Place]:
    """Without quantities of the model that are 0 and are to be scaled; raises OptionError if none is left."""
    left = [place for place in places if how != "scale" or place.target is None or place.nominal.any()]
    if not left:
        raise OptionError(f"{places[0].name} is 0 in the model, and scaling it has no effect: set it, or add to it")
    return left


def _check_densities(groups: Sequence[_Group]) -> None:
    """Refuses the density of a body beside its mass or inertia, which it would overwrite."""
    targets = [p.target for g in groups for some in g.places for p in some if p.target is not None]
    dense = {target.row for target in targets if target.field == DENSITY}
    for target in targets:
        if target.field in ("body_mass", "body_inertia") and target.row in dense:
            raise OptionError(f"{target.name} and the density of the same body are randomized: choose one")


def places_of(pattern: str, batch: Batch, bodies: Sequence[BatchedRobot]) -> list[Place]:
    """What a pattern means: parameters of bodies first, else quantities of the model."""
    found, known = [], []
    for body in bodies:
        for name in body.parameter_names():
            full = f"{body.prefix}{name}"
            known.append(name)
            if matches(name, pattern) or matches(full, pattern):
                found.append(_of_body(full, body.parameter(name)))
    if found:
        return found
    if "/" in pattern and "[" not in pattern:
        raise UnknownNameError("parameter", pattern, known)
    return [_of_model(target, batch) for target in find_targets(batch.model, pattern)]


def _of_body(name: str, values: NDArray) -> Place:
    def write(new: NDArray, worlds: Rows) -> None:
        values[worlds] = new

    nominal = values[0].copy()
    return Place(name, nominal, write, None, (name, support_of_parameter(name), nominal), tuple(range(len(nominal))))


def _of_model(target: Target, batch: Batch) -> Place:
    nominal = target.nominal(batch.model)
    target.write(batch, np.tile(nominal, (batch.n, 1)))  # expands the field once, before any step

    def write(new: NDArray, worlds: Rows) -> None:
        target.write(batch, new, worlds)

    support = support_of_field(batch.model, target.field, target.row)
    if support is None:
        return Place(target.name, nominal, write, target, None, target.columns)
    whole = nominal if target.field == DENSITY else table_of(batch.model, target.field)[target.row].astype(np.float64)
    key = target.name if target.columns == tuple(range(len(whole))) else target.name.rpartition("[")[0]
    return Place(target.name, nominal, write, target, (key, support, whole), target.columns)
