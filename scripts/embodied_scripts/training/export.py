"""A trained policy as an ONNX file."""

from __future__ import annotations

from rich.console import Console

from embodied.nn.onnx import export_onnx
from embodied_scripts.cli.export import Export
from embodied_scripts.runs import load_runs, runs_in


def export(asked: Export) -> None:
    """Writes the file and says how to use it."""
    policies, _ = load_runs(runs_in(asked.run_dir)[:1])
    path = export_onnx(next(iter(policies.values())), asked.onnx or asked.run_dir / "policy.onnx")
    Console(soft_wrap=True).print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB)", markup=False)
