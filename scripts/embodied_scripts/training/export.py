"""A trained policy as an ONNX file."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from embodied.nn.checkpoint import read_card
from embodied.nn.onnx import export_onnx
from embodied_scripts.cli.export import Export
from embodied_scripts.records import begun, environment_of
from embodied_scripts.runs import load_runs, runs_in


def export(asked: Export) -> None:
    """Writes the file and says how to use it."""
    run = runs_in(asked.run_dir)[0]
    policies, _ = load_runs([run])
    card = read_card(run / "policy")
    about: dict[str, Any] = {name: card[name] for name in ("env", "contract") if name in card}
    making = begun("export", asked, [("policy", run / "policy")], environment_of(run / "policy"))
    path = export_onnx(next(iter(policies.values())), asked.onnx or asked.run_dir / "policy.onnx", about)
    making.finish(path)
    Console(soft_wrap=True).print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB)", markup=False)
