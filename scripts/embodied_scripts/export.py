"""`embodied export`: a trained policy as a file that onnxruntime runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass
class Export:
    """Write a trained policy as ONNX, with a card beside it; run it with `embodied.learn.onnx_agent.OnnxAgent`."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(name="run")]
    """Folder of the run."""
    onnx: Path | None = None
    """Where to (default: policy.onnx in that folder)."""

    def run(self) -> None:
        """Writes the file and says how to use it."""
        from rich.console import Console

        from embodied.learn.export import export_onnx
        from embodied_scripts.evaluate import load_runs, runs_in

        policies, _ = load_runs(runs_in(self.run_dir)[:1])
        path = export_onnx(next(iter(policies.values())), self.onnx or self.run_dir / "policy.onnx")
        Console(soft_wrap=True).print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB)", markup=False)
