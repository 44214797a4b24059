"""`embodied list`: the environments there are, and the policies that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embodied_scripts.cli.lazy import load


@dataclass
class List:
    """Show the environments: rates, time limits, what is hidden, sizes of observation and action."""

    pages: Path | None = None
    """Write a page about each of them, with a picture, into this folder instead."""
    policies: bool = False
    """Show the trained policies that come with the package instead."""
    episodes: int = 1024
    """For the pages: episodes per reference player (0: no scores)."""

    def run(self) -> None:
        """Prints one row per environment or policy, or writes pages."""
        if self.pages is not None:
            load("show.suite_pages:write_suite")(self)
        elif self.policies:
            load("show.policies:list_policies")()
        else:
            load("show.environments:list_environments")()
