"""Robots, arenas and datasheets as plain files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent


def robot_path(name: str) -> Path:
    """Returns the MJCF file of a robot."""
    return _existing("robots", name, ".xml")


def arena_path(name: str) -> Path:
    """Returns the MJCF file of an arena."""
    return _existing("arenas", name, ".xml")


def datasheet_path(name: str) -> Path:
    """Returns the TOML datasheet of a part."""
    return _existing("datasheets", name, ".toml")


def posterior_path(name: str) -> Path:
    """Returns what identification found of a robot, as JSON (`embodied.sysid.Fit.jsonable`, with its source)."""
    return _existing("posteriors", name, ".json")


def _existing(kind: str, name: str, suffix: str) -> Path:
    path = ROOT / kind / f"{name}{suffix}"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in (ROOT / kind).glob(f"*{suffix}")))
        raise FileNotFoundError(f"no asset {name!r} among the {kind}; known: {known}")
    return path
