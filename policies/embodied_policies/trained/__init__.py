"""Policies that were trained with this toolkit: weights, and a card each that says on what, how well, and what not."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def trained_folder(name: str) -> Path | None:
    """The folder of the policy for an environment such as `Sumo-v0`; None if there is none."""
    folder = HERE / name.removesuffix("-v0").lower()
    return folder if (folder / "policy.json").exists() else None
