"""Sensors that are cast as rays: range finders, lidars, and a line camera that also tells what it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError
from embodied.layout import Channel
from embodied.physics.batch import VISIBLE_GROUPS, group_mask
from embodied.robot.timing import AGE_LIMIT_S, IMMEDIATE, Timing
from embodied.seeding import as_normal, as_uniforms

NOTHING, WALL = "nothing", "wall"


@dataclass(frozen=True)
class RaySensor:
    """Beams in the plane of a site, spread evenly over `fov` around its x axis, leftmost first.

    Attributes:
        site: where the beams start; `body` carries it and is not seen.
        pixels: number of beams.
        fov: angle that they span [rad]; a full turn does not repeat its first beam.
        min_range, max_range: beyond these a beam returns nothing: `max_range`, and invalid [m].
        range_noise: standard deviation of the range, as a share of it.
        range_floor: standard deviation at short range [m]; the two add in quadrature.
        resolution: of the range [m]; 0 for continuous.
        dropout: probability that a beam returns nothing.
        groups: geom groups that beams meet; by default those that MuJoCo draws, so that visual shapes are met and
            Menagerie's collision shapes (group 3) are not.
        timing: when frames are captured and when they arrive. They are captured at instants of decision. If a
            frame can be late or held, its age is observed, and whether it is new.

    Raises:
        ModelError: no beams, an impossible angle or range, or a dropout that is no probability.
    """

    name: str
    site: str
    body: str
    pixels: int = 24
    fov: float = np.pi / 3
    max_range: float = 3.0
    min_range: float = 0.0
    range_noise: float = 0.01
    range_floor: float = 0.0
    resolution: float = 0.0
    dropout: float = 0.02
    timing: Timing = IMMEDIATE
    groups: tuple[int, ...] = VISIBLE_GROUPS
    VARIES: ClassVar[tuple[str, ...]] = ("range_noise", "range_floor", "resolution", "dropout")

    def __post_init__(self) -> None:
        if self.pixels < 1 or not 0 < self.fov <= 2 * np.pi:
            raise ModelError(f"{self.name!r} needs at least one beam and a field of view up to a full turn")
        if not 0 <= self.min_range < self.max_range or min(self.range_noise, self.range_floor, self.resolution) < 0:
            raise ModelError(f"{self.name!r}: ranges must be ordered, noise and resolution not negative")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"{self.name!r}: dropout is a probability below 1, not {self.dropout}")
        group_mask(self.groups)

    @property
    def measures(self) -> bool:
        """Whether it tells ranges."""
        return True

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Its place in the observation: ranges, what each beam met, and the age of the frame if it can be late."""
        seen: tuple[Channel, ...] = (self.seen_channel,)
        if self.measures:
            seen = (Channel(f"{self.name}/range", self.pixels, 0.0, self.max_range, "m"), *seen)
        if self.timing.immediate:
            return seen
        age = Channel(f"{self.name}/age", 1, 0.0, AGE_LIMIT_S, "s")
        return *seen, age, Channel(f"{self.name}/new", 1, 0.0, 1.0, "flag")

    @property
    def seen_channel(self) -> Channel:
        """Whether each beam returned something."""
        return Channel(f"{self.name}/valid", self.pixels, 0.0, 1.0, "flag")

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """Unit vectors of the beams in the site's frame, leftmost first, `(pixels, 3)`."""
        turn = self.fov >= 2 * np.pi
        angle = (
            np.linspace(self.fov / 2, -self.fov / 2, self.pixels, endpoint=not turn) if self.pixels > 1 else np.zeros(1)
        )
        return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)

    @property
    def random_values(self) -> int:
        """How many random values a frame takes: one per beam for its range, one for what it meets."""
        return 2 * self.pixels

    def see(
        self, distance: NDArray, label: NDArray, bits: NDArray, now: Mapping[str, NDArray] | None = None
    ) -> tuple[NDArray, NDArray]:
        """Returns ranges [m] and what each beam met (see `encode`), `(n, pixels)` each.

        Args:
            distance: true distance along each ray [m], negative for none.
            label: true class index of what each ray hits.
            bits: random bits, `(n, random_values)`.
            now: the parameters named in `VARIES` where they differ from the declared ones, `(n, 1)` each.
        """
        now = self.declared if now is None else now
        lost_sample, class_sample = as_uniforms(bits[:, self.pixels :])
        lost = (distance < self.min_range) | (distance > self.max_range) | (lost_sample < now["dropout"])
        spread = np.sqrt((now["range_noise"] * distance) ** 2 + now["range_floor"] ** 2)
        ranges = distance + spread * as_normal(bits[:, : self.pixels])
        if now["resolution"].any():
            step = np.maximum(now["resolution"], 1e-12)
            ranges = np.where(now["resolution"] > 0, np.round(ranges / step) * step, ranges)
        ranges = np.where(lost, self.max_range, np.clip(ranges, 0.0, self.max_range))
        return ranges, self.classify(distance, label, lost, class_sample, now)

    @cached_property
    def declared(self) -> Mapping[str, NDArray]:
        """The parameters named in `VARIES` as they are declared, `(1, 1)` each."""
        return {name: np.full((1, 1), float(getattr(self, name))) for name in self.VARIES}

    def classify(
        self, distance: NDArray, label: NDArray, lost: NDArray, sample: NDArray, now: Mapping[str, NDArray]
    ) -> NDArray:
        """Returns whether each beam returned something, `(n, pixels)`."""
        return ~lost

    def encode(self, seen: NDArray) -> NDArray:
        """Returns what was met as numbers of the observation, `(n, …)`."""
        return seen

    def class_table(self, geom_names: list[str]) -> NDArray[np.int64]:
        """Returns the class index of each geom, and of no geom as an extra last entry; a ranger knows none."""
        return np.zeros(len(geom_names) + 1, np.int64)


@dataclass(frozen=True)
class LineCamera(RaySensor):
    """A row of pixels that return range and object class, as a depth camera with a detector behind it does.

    Fine print (`legible`: fine class -> what it looks like from afar) can be read only within `reading_range`, and
    then each pixel misreads it with probability `misread` as one of its alternatives. A pixel that drops out sees
    nothing.

    Attributes:
        labels: geom name -> class; every other geom is a wall.
        ranging: whether pixels return ranges, too; a bare camera does not.
    """

    reading_range: float = 1.0  # m
    misread: float = 0.1
    labels: Mapping[str, str] = field(default_factory=dict)
    legible: Mapping[str, str] = field(default_factory=dict)
    ranging: bool = True
    VARIES: ClassVar[tuple[str, ...]] = (*RaySensor.VARIES, "reading_range", "misread")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.misread < 1:
            raise ModelError(f"camera {self.name!r}: misread is a probability below 1, not {self.misread}")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All classes that a pixel can return, in the order of their indices."""
        return tuple(dict.fromkeys([NOTHING, WALL, *self.labels.values(), *self.legible.values()]))

    @property
    def measures(self) -> bool:
        return self.ranging

    @property
    def seen_channel(self) -> Channel:
        """One indicator per pixel and class."""
        return Channel(f"{self.name}/class", self.pixels * len(self.classes), 0.0, 1.0, "indicator")

    def classify(
        self, distance: NDArray, label: NDArray, lost: NDArray, sample: NDArray, now: Mapping[str, NDArray]
    ) -> NDArray:
        """Returns class indices, `(n, pixels)`."""
        misread = self._misread(label, sample, now["misread"])
        seen = np.where(distance > now["reading_range"], self._from_afar[label], misread)
        return np.where(lost, 0, seen)

    def encode(self, seen: NDArray) -> NDArray:
        """Returns class indices `(n, pixels)` as indicators, `(n, pixels × classes)`."""
        return self._one_hot[seen].reshape(len(seen), -1)

    def class_table(self, geom_names: list[str]) -> NDArray[np.int64]:
        """Returns the class index of each geom; the extra last entry stands for no geom.

        Raises:
            ModelError: a label names a geom that is not in the model.
        """
        missing = set(self.labels) - set(geom_names)
        if missing:
            raise ModelError(f"camera {self.name!r} labels geoms that do not exist: {sorted(missing)}")
        index = [self.classes.index(self.labels.get(name, WALL)) for name in geom_names]
        return np.array([*index, self.classes.index(NOTHING)])

    def _misread(self, label: NDArray, sample: NDArray, rate: NDArray) -> NDArray:
        """Replaces fine print by one of its alternatives where sample is below the rate."""
        alternatives = self._alternatives.shape[1]
        if not alternatives:
            return label
        pick = np.minimum((sample / np.maximum(rate, 1e-12) * alternatives).astype(np.intp), alternatives - 1)
        return np.where(sample < rate, self._alternatives[label, pick], label)

    @cached_property
    def _one_hot(self) -> NDArray[np.float32]:
        return np.eye(len(self.classes), dtype=np.float32)

    @cached_property
    def _from_afar(self) -> NDArray[np.intp]:
        return np.array([self.classes.index(self.legible.get(name, name)) for name in self.classes])

    @cached_property
    def _alternatives(self) -> NDArray[np.intp]:
        """For each class, the other prints on the same kind of object; itself where there are none."""
        groups = {far: [f for f, other in self.legible.items() if other == far] for far in self.legible.values()}
        sizes = {len(group) for group in groups.values()}
        if len(sizes) > 1:
            raise ModelError(f"camera {self.name!r}: every kind of object needs the same number of prints")
        width = max(sizes, default=1) - 1
        rows = []
        for own, name in enumerate(self.classes):
            group = groups.get(self.legible.get(name, ""), [])
            others = [self.classes.index(other) for other in group if other != name]
            rows.append(others or [own] * width)
        return np.array(rows).reshape(len(self.classes), width)
