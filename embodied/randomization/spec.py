"""What differs from world to world: a declaration, which `embodied.world` carries out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from embodied.errors import OptionError, UnknownNameError
from embodied.files import DAMAGED, one_line, read_json
from embodied.randomization.distributions import Distribution

How = Literal["set", "scale", "add"]
When = Literal["build", "reset"]


@dataclass(frozen=True)
class RandomizationTerm:
    """One thing that differs, or several that are sampled together.

    Attributes:
        what: a parameter of the body, such as `left_motor/resistance` or `*_motor/latency_s`, or a quantity of the
            model, such as `geom_friction[*tyre*][0]`, `density[*]`, `opt.gravity[2]`, `light_diffuse`,
            `mat_rgba[floor][0]`; a tuple of as many for a distribution of several numbers.
        by: how it is distributed.
        how: whether values replace, multiply or are added to what the body has.
        each: everything that a pattern matches gets a value of its own, rather than all the same.
        when: at every reset, or once per world.
        every_s: also anew after so many seconds within an episode; only quantities of the model.

    Raises:
        OptionError: names and numbers that do not fit together.
    """

    what: str | tuple[str, ...]
    by: Distribution
    how: How = "scale"
    each: bool = False
    when: When = "reset"
    every_s: float | None = None

    def __post_init__(self) -> None:
        if self.how not in get_args(How) or self.when not in get_args(When):
            known = f"{', '.join(get_args(How))}; {', '.join(get_args(When))}"
            raise OptionError(f"{self.how!r} or {self.when!r} is unknown; known: {known}")
        if len(self.names) != self.by.size:
            raise OptionError(f"{', '.join(self.names)}: {len(self.names)} names for {self.by.size} numbers")
        if self.each and self.by.size > 1:
            raise OptionError("what is sampled together cannot be sampled for each match on its own")
        if self.every_s is not None and not self.every_s > 0:
            raise OptionError(f"every_s must be positive, not {self.every_s}")

    @property
    def names(self) -> tuple[str, ...]:
        """The patterns, one per number that is sampled at once."""
        return (self.what,) if isinstance(self.what, str) else tuple(self.what)

    def jsonable(self) -> dict[str, Any]:
        """As JSON can hold it."""
        rest = {name: getattr(self, name) for name in ("how", "each", "when", "every_s")}
        return {"what": list(self.names), "by": self.by.jsonable()} | rest


@dataclass(frozen=True)
class ADR:
    """A curriculum: what differs, differs little at first, and more where the robot succeeds (Akkaya et al. 2019).

    Each number is sampled between two quantiles of its distribution. Some worlds are put at one of them, to probe it;
    when they succeed often enough it moves outwards, when they hardly do it moves back.

    Attributes:
        begin: how much of each distribution is used at first, around its median.
        step: by how much of it a quantile moves.
        boundary_share: share of worlds that probe.
        episodes: how many are waited for before a quantile moves.
        upper_threshold, lower_threshold: success from which, and below which, it does.

    Raises:
        OptionError: shares that are none.
    """

    begin: float = 0.1
    step: float = 0.05
    boundary_share: float = 0.5
    episodes: int = 24
    upper_threshold: float = 0.8
    lower_threshold: float = 0.5

    def __post_init__(self) -> None:
        shares = (self.begin, self.step, self.boundary_share, self.upper_threshold, self.lower_threshold)
        if (
            not all(0 <= share <= 1 for share in shares)
            or self.episodes < 1
            or self.lower_threshold > self.upper_threshold
        ):
            raise OptionError(
                f"shares lie between 0 and 1, lower_threshold below upper_threshold, episodes at least 1: {self}"
            )


@dataclass(frozen=True)
class DORAEMON:
    """A curriculum: worlds differ as much as they can while the robot succeeds often enough (Tiboni et al. 2024).

    Each number is sampled from a bell within its distribution. After so many episodes the bells grow, all together, to
    where they say least about what will be sampled, but for two bounds: so much of what has been met must still be met,
    and the success to be expected must not fall below what is asked for. Where it is below that already, they go to
    where it is highest. They are the distributions themselves in the end, if the robot can do with that.

    Attributes:
        begin: how much of each distribution is used at first, around its median.
        success: share of episodes that must succeed.
        step: how far all bells together may go at once, as a divergence [nats].
        episodes: how many are waited for before they do.

    Raises:
        OptionError: shares that are none, or no step.
    """

    begin: float = 0.1
    success: float = 0.7
    step: float = 0.5
    episodes: int = 256

    def __post_init__(self) -> None:
        if not (0 < self.begin <= 1 and 0 <= self.success <= 1) or not self.step > 0 or self.episodes < 1:
            raise OptionError(f"shares lie between 0 and 1, with a step and an episode at least: {self}")


Curriculum = ADR | DORAEMON
CURRICULA: dict[str, type[ADR] | type[DORAEMON]] = {c.__name__: c for c in (ADR, DORAEMON)}


@dataclass(frozen=True)
class Randomization:
    """Everything that differs; of two that terms the same, the later holds.

    Attributes:
        curriculum: how it grows with success; None for all of it from the beginning.
    """

    terms: tuple[RandomizationTerm, ...] = ()
    curriculum: Curriculum | None = None

    def __add__(self, other: Randomization) -> Randomization:
        return Randomization((*self.terms, *other.terms), other.curriculum or self.curriculum)

    def save(self, path: Path | str) -> None:
        """Writes it as JSON."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.jsonable(), indent=2), encoding="utf-8")

    def jsonable(self) -> dict[str, Any]:
        """As JSON."""
        data: dict[str, Any] = {"terms": [one.jsonable() for one in self.terms]}
        if self.curriculum is not None:
            data["curriculum"] = {"kind": type(self.curriculum).__name__} | asdict(self.curriculum)
        return data

    @classmethod
    def load(cls, path: Path | str) -> Randomization:
        """Reads what `save` wrote.

        Raises:
            OptionError: there is no such file, or it is no randomization.
        """
        return cls.from_jsonable(read_json(Path(path), OptionError, "is no randomization"), path)

    @classmethod
    def from_jsonable(cls, data: Any, path: Path | str = "this") -> Randomization:
        """The inverse of `jsonable`; `path` is named in messages.

        Raises:
            OptionError: it is no randomization.
        """
        try:
            if unknown := set(data) - {"terms", "curriculum"}:
                raise OptionError(
                    f"{path} is no randomization: {', '.join(sorted(unknown))} beside terms and curriculum"
                )
            return cls(tuple(_term(one) for one in data["terms"]), _curriculum(data.get("curriculum")))
        except (*DAMAGED, RecursionError) as error:
            if isinstance(error, OptionError | UnknownNameError):
                raise
            raise OptionError(f"{path} is no randomization: {one_line(error)}") from error


def _curriculum(data: dict[str, Any] | None) -> Curriculum | None:
    if data is None:
        return None
    rest = dict(data)
    kind = rest.pop("kind", None)
    if kind not in CURRICULA:
        raise UnknownNameError("curriculum", kind, CURRICULA)
    return CURRICULA[kind](**rest)


def _term(data: dict[str, Any]) -> RandomizationTerm:
    rest = dict(data)
    what, by = rest.pop("what"), Distribution.from_jsonable(rest.pop("by"))
    return RandomizationTerm(what[0] if isinstance(what, list) and len(what) == 1 else tuple(what), by, **rest)
