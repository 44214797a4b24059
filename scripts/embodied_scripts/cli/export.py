"""`embodied export`: a trained policy as a file that onnxruntime runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Export:
    """Write a trained policy as ONNX, with a card beside it; run it with `embodied.nn.onnx_agent.OnnxAgent`."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(name="run")]
    """Folder of the run."""
    onnx: Path | None = None
    """Where to (default: policy.onnx in that folder)."""

    def run(self) -> None:
        """Writes the file and says how to use it."""
        load("training.export:export")(self)
