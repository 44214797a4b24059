"""The settings of a league, as data."""

from __future__ import annotations

from dataclasses import dataclass

from embodied.errors import OptionError


@dataclass(frozen=True)
class LeagueConfig:
    """How opponents are sampled and checkpoints made.

    Raises:
        OptionError: a share that is none, or a number below 1.
    """

    concurrent_opponents: int = 8
    """Different opponents at once."""
    latest: float = 0.25
    """Share of the games that the learner plays against itself as it is."""
    anchors: float = 0.25
    """Share of the rest against scripted anchors, where there are any; sampled by priority."""
    uniform: float = 0.4
    """Share of the rest against checkpoints sampled uniformly; the others are sampled by priority."""
    equilibrium: float = 0.0
    """Share of what is left then against the Nash mixture of the population (PSRO), for which every new checkpoint
    plays all the others."""
    rounds: int = 2
    """How often those play each of their worlds, from both seats."""
    delta: float = 0.0
    """Uniform opponents come from the newest 1 − delta of the checkpoints; 0: from all (δ-uniform)."""
    checkpoints: int = 20
    """How many a training makes."""
    population_size: int = 24
    """How many are kept."""
    resample_interval: int = 8
    """Rollouts after which an opponent is sampled anew, at the earliest: its games are played to their end first."""
    longest: int = 10_000
    """Moves after which a game is cut off, and is what was paid until then."""

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in ("latest", "anchors", "uniform", "equilibrium", "delta")}
        wrong = [name for name, share in shares.items() if not 0 <= share <= 1]
        counts = (self.concurrent_opponents, self.checkpoints, self.resample_interval, self.rounds, self.longest)
        if wrong or min(counts) < 1:
            raise OptionError(
                "shares must be 0 to 1; concurrent_opponents, checkpoints, resample_interval, rounds and longest at "
                f"least 1: {', '.join(wrong) or self}"
            )
