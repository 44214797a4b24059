"""The line camera: a row of pixels with range and object class, cast as rays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from embodied.body.timing import AGE_LIMIT_S, IMMEDIATE, Timing
from embodied.errors import ModelError
from embodied.layout import Channel
from embodied.seeding import as_normal, as_uniforms

NOTHING, WALL = "nothing", "wall"


@dataclass(frozen=True)
class LineCamera:
    """A row of pixels that return range and object class, as a depth camera with a detector behind it does.

    Fine print (`legible`: fine class -> what it looks like from afar) can be read only within
    `reading_range`, and then each pixel misreads it with probability `misread` as one of its alternatives.
    A pixel drops out with probability `dropout` and then sees nothing.

    Attributes:
        site: the MJCF site that looks along its x axis; `body` carries it and is not seen.
        labels: geom name -> class; every other geom is a wall.
        range_noise: standard deviation of the range, as a share of it.
        timing: when frames are captured and when they arrive. They are captured at instants of decision. If a
            frame can be late or held, its age is observed, and whether it is new.
    """

    name: str
    site: str
    body: str
    pixels: int = 24
    fov: float = np.pi / 3  # rad
    max_range: float = 3.0  # m
    range_noise: float = 0.01
    dropout: float = 0.02
    reading_range: float = 1.0  # m
    misread: float = 0.1
    labels: Mapping[str, str] = field(default_factory=dict)
    legible: Mapping[str, str] = field(default_factory=dict)
    timing: Timing = IMMEDIATE

    def __post_init__(self) -> None:
        if self.pixels < 2 or not 0 < self.fov < np.pi:
            raise ModelError(f"camera {self.name!r} needs at least 2 pixels and a field of view below 180 degrees")
        if not (0 <= self.dropout < 1 and 0 <= self.misread < 1):
            raise ModelError(f"camera {self.name!r}: dropout and misread are probabilities below 1")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All classes that a pixel can return, in the order of their indices."""
        return tuple(dict.fromkeys([NOTHING, WALL, *self.labels.values(), *self.legible.values()]))

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Its place in the observation: ranges, then one indicator per pixel and class."""
        frame = (
            Channel(f"{self.name}/range", self.pixels, 0.0, self.max_range, "m"),
            Channel(f"{self.name}/class", self.pixels * len(self.classes), 0.0, 1.0, "indicator"),
        )
        if self.timing.immediate:
            return frame
        age = Channel(f"{self.name}/age", 1, 0.0, AGE_LIMIT_S, "s")
        return *frame, age, Channel(f"{self.name}/new", 1, 0.0, 1.0, "flag")

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """Unit vectors of the pixels in the site's frame, leftmost first, `(pixels, 3)`."""
        angle = np.linspace(self.fov / 2, -self.fov / 2, self.pixels)
        return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)

    @property
    def lanes(self) -> int:
        """How many random values a frame takes: one per pixel for its range, one for what it sees."""
        return 2 * self.pixels

    def see(self, distance: NDArray, label: NDArray, bits: NDArray) -> tuple[NDArray, NDArray]:
        """Returns ranges [m] and class indices, `(n, pixels)` each.

        Args:
            distance: true distance along each ray [m], negative for none.
            label: true class index of what each ray hits.
            bits: random bits, `(n, lanes)`.
        """
        noise = as_normal(bits[:, : self.pixels])
        luck, misfortune = as_uniforms(bits[:, self.pixels :])
        lost = (distance < 0) | (distance > self.max_range) | (luck < self.dropout)
        seen = np.where(distance > self.reading_range, self._from_afar[label], self._misread(label, misfortune))
        ranges = np.clip(distance * (1 + self.range_noise * noise), 0.0, self.max_range)
        return np.where(lost, self.max_range, ranges), np.where(lost, 0, seen)

    def indicators(self, seen: NDArray) -> NDArray:
        """Returns class indices `(n, pixels)` as indicators, `(n, pixels, classes)`."""
        return self._one_hot[seen]

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

    def _misread(self, label: NDArray, luck: NDArray) -> NDArray:
        """Replaces fine print by one of its alternatives where luck is below `misread`."""
        alternatives = self._alternatives.shape[1]
        if not alternatives:
            return label
        pick = np.minimum((luck / max(self.misread, 1e-12) * alternatives).astype(np.intp), alternatives - 1)
        return np.where(luck < self.misread, self._alternatives[label, pick], label)

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
