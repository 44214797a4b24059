"""Keeps what is sampled possible: refuses declarations that are not, and draws unbounded numbers again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.randomization.distributions import Distribution
from embodied.randomization.support import Support

REDRAWS = 100  # after which a declaration counts as one that nearly never gives what is possible


def applied(how: str, nominal: NDArray, sampled: NDArray) -> NDArray:
    """What sampled numbers `(n, 1)` make of nominal ones `(columns,)`, `(n, columns)`."""
    if how == "scale":
        return nominal * sampled
    return nominal + sampled if how == "add" else np.broadcast_to(sampled, (len(sampled), len(nominal)))


@dataclass(frozen=True)
class Part:
    """What one sampled number does to a row.

    Attributes:
        group: of the draw; column: of all that is sampled; columns: of the row; nominal: of these columns.
    """

    group: int
    column: int
    columns: tuple[int, ...]
    how: str
    nominal: NDArray[np.float64]


@dataclass
class Row:
    """Numbers that belong together, what they can be, and what is sampled of them."""

    name: str
    support: Support
    nominal: NDArray[np.float64]
    parts: list[Part] = field(default_factory=list)
    unbounded: bool = False

    def possible(self, sampled: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Where it is possible, `(n,)`, with draws `(n, all that is sampled)`."""
        values = np.tile(self.nominal, (len(sampled), 1))
        for part in self.parts:
            values[:, part.columns] = applied(part.how, part.nominal, sampled[:, part.column][:, None])
        return np.asarray(self.support.holds(values))

    def check(self, part: Part, by: Distribution, number: int) -> None:
        """Takes in one more number that is sampled.

        Raises:
            OptionError: an end of its distribution, or its median, makes the row impossible.
        """
        ends = np.array([end[number] for end in by.support])
        self.unbounded |= not np.isfinite(ends).all()
        median = by.quantile(np.full((1, by.size), 0.5))[0, number]
        for value in (median, *ends[np.isfinite(ends)]):
            values = self.nominal.copy()
            values[list(part.columns)] = applied(part.how, part.nominal, np.array([[value]]))[0]
            if not self.support.holds(values[None])[0]:
                shown = ", ".join(f"{v:g}" for v in values)
                raise OptionError(
                    f"{type(by).__name__} of {self.name} ({part.how}) can make it {shown}; it must be "
                    f"{self.support.text}"
                )
        self.parts.append(part)


class Possible:
    """Sees to it that no world gets impossible numbers."""

    def __init__(self) -> None:
        self._rows: dict[object, Row] = {}

    def add(self, key: object, row: Row, part: Part, by: Distribution, number: int) -> None:
        """Adds what is sampled of a row; raises OptionError if its declaration cannot be."""
        self._rows.setdefault(key, row).check(part, by, number)

    @property
    def uncertain(self) -> list[Row]:
        """The rows of which draws can be impossible although each declaration is possible."""
        return [row for row in self._rows.values() if row.unbounded or len(row.parts) > 1]

    def settle(
        self,
        sampled: NDArray[np.float64],
        groups: Sequence[int],
        redraw: Callable[[int, NDArray[np.intp], int], None],
    ) -> None:
        """Has draws `sampled (n, …)` replaced where they are impossible.

        Args:
            groups: those that can be drawn again.
            redraw: draws a group again in some rows, with the number of the attempt; writes to `sampled` itself.

        Raises:
            OptionError: nothing possible was drawn.
        """
        rows = self.uncertain
        for attempt in range(REDRAWS):
            bad = [(row, np.flatnonzero(~row.possible(sampled))) for row in rows]
            bad = [(row, where) for row, where in bad if where.size]
            if not bad:
                return
            wrong: dict[int, list[NDArray[np.intp]]] = {}
            for row, where in bad:
                for group in {part.group for part in row.parts} & set(groups):
                    wrong.setdefault(group, []).append(where)
            if not wrong:
                raise OptionError(f"{bad[0][0].name} is not {bad[0][0].support.text}")
            for group, several in sorted(wrong.items()):
                redraw(group, np.unique(np.concatenate(several)), attempt)
        raise OptionError(f"{REDRAWS} draws of {bad[0][0].name} in a row were not {bad[0][0].support.text}")
