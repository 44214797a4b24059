"""`embodied architecture`: the packages of this project and what they import, as one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass(frozen=True)
class Architecture:
    """Draw the packages in layers, from the imports of the source; a circle is an error."""

    picture: Annotated[Path, tyro.conf.Positional] = Path("docs/architecture.svg")
    """The .svg file to write."""

    def run(self) -> None:
        """Reads the source and draws."""
        load("show.architecture:draw_architecture")(self)
