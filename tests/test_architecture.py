"""The floors of the building: who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOTS = {  # import package -> folder that holds it
    "embodied": ROOT,
    "embodied_envs": ROOT / "envs",
    "embodied_policies": ROOT / "policies",
    "embodied_assets": ROOT / "assets",
    "embodied_scripts": ROOT / "scripts",
}
WORDS = {"embodied"}  # types, errors, seeding, distributions, randomisation, config

# A floor may import itself and the floors named beside it. Nothing else.
FLOORS: dict[str, set[str]] = {
    "embodied": set(),
    "embodied.body": WORDS,
    "embodied.physics": WORDS | {"embodied.body"},
    "embodied.mind": WORDS,
    "embodied.world": WORDS | {"embodied.body", "embodied.physics", "embodied.mind"},
    "embodied.sysid": WORDS | {"embodied.body", "embodied.physics"},
    "embodied.learn": WORDS | {"embodied.mind"},
    "embodied.view": WORDS | {"embodied.body", "embodied.physics"},
    "embodied_assets": set(),
    "embodied_envs": WORDS | {"embodied.body", "embodied.physics", "embodied.world", "embodied_assets"},
    "embodied_policies": WORDS | {"embodied.mind", "embodied.learn"},
}
FLOORS["embodied_scripts"] = set(FLOORS)  # scripts introduce everyone; nothing imports them
# Heavy libraries live on few floors, so that the environments import without torch.
HEAVY: dict[str, set[str]] = {
    "torch": {"embodied.learn", "embodied_policies", "embodied_scripts"},
    "stable_baselines3": {"embodied.learn", "embodied_policies", "embodied_scripts"},
    "mujoco_warp": {"embodied.physics"},
    "rerun": {"embodied.view"},
    "matplotlib": {"embodied.view"},
    "cv2": {"embodied.body", "embodied.view"},
    "gymnasium": {"embodied.world", "embodied.learn", "embodied_envs", "embodied_policies", "embodied_scripts"},
    "pettingzoo": {"embodied.world", "embodied.learn", "embodied_envs", "embodied_scripts"},
    "tyro": {"embodied_scripts"},
    "rich": {"embodied_scripts"},
}


def floor_of(module: str) -> str | None:
    """Returns the deepest floor that contains `module`, or None for third parties."""
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in (2, 1))
    return next((name for name in names if name in FLOORS), None)


def imports(tree: ast.AST, package: str) -> set[str]:
    """Returns the absolute names of all modules that `tree` imports, at any depth."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            anchor = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*anchor, *filter(None, [node.module])])
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


SOURCES = [(root, path) for name, root in SOURCE_ROOTS.items() for path in sorted((root / name).rglob("*.py"))]


@pytest.mark.parametrize(("root", "path"), SOURCES, ids=lambda value: value.stem if value.is_file() else "")
def test_imports_point_downwards(root: Path, path: Path) -> None:
    package = ".".join(path.relative_to(root).parent.parts)
    here = floor_of(package)
    names = imports(ast.parse(path.read_text()), package)
    reached = {floor_of(name) for name in names} - {None, here}
    assert reached <= FLOORS[here], f"{here} may not import {sorted(reached - FLOORS[here])}"
    heavy = {name.split(".")[0] for name in names} & HEAVY.keys()
    assert all(here in HEAVY[name] for name in heavy), f"{here} may not import {sorted(heavy)}"
