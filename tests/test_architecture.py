"""The floors of the building: who may import whom, and how large things may grow."""

import ast
import statistics
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from embodied_scripts.show.architecture import layers_of, packages, svg

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOTS = {  # import package -> folder that holds it
    "embodied": ROOT,
    "embodied_envs": ROOT / "envs",
    "embodied_policies": ROOT / "policies",
    "embodied_assets": ROOT / "assets",
    "embodied_scripts": ROOT / "scripts",
}
WORDS = {"embodied"}  # agent, errors, hidden, layout, options, seeding, spaces


def _under(*names: str) -> set[str]:
    return WORDS | {f"embodied.{name}" for name in names}


# A floor may import itself and the floors named beside it. Nothing else.
FLOORS: dict[str, set[str]] = {
    "embodied": set(),
    "embodied.physics": WORDS,
    "embodied.robot": _under("physics"),
    "embodied.randomization": _under("physics", "robot"),
    "embodied.mind": WORDS,
    "embodied.world": _under("physics", "robot", "randomization", "mind"),
    "embodied.lineage": WORDS,
    "embodied.nn": _under("lineage"),
    "embodied.vector": WORDS,
    "embodied.evaluation": _under("vector", "mind"),
    "embodied.learn": _under("nn", "vector", "evaluation", "mind"),
    "embodied.selfplay": _under("nn", "vector", "evaluation", "mind", "learn"),
    "embodied.fleet": _under("nn", "lineage", "learn", "evaluation"),
    "embodied.sysid": _under("physics", "robot", "randomization"),
    "embodied.view": _under("physics", "robot"),
    "embodied.deploy": _under("physics", "robot", "sysid"),
    "embodied_assets": set(),
    "embodied_envs": _under("physics", "robot", "randomization", "world") | {"embodied_assets"},
    "embodied_policies": _under("mind", "nn", "evaluation"),
}
FLOORS["embodied_scripts"] = set(FLOORS)  # scripts introduce everyone; nothing imports them
LEARNING = {
    "embodied.fleet",
    "embodied.nn",
    "embodied.learn",
    "embodied.selfplay",
    "embodied_policies",
    "embodied_scripts",
}
# Heavy libraries live on few floors, so that the environments import without torch.
HEAVY: dict[str, set[str]] = {
    "torch": LEARNING,
    "stable_baselines3": {"embodied.vector", "embodied.nn", "embodied.learn", "embodied.selfplay", "embodied_scripts"},
    "safetensors": {"embodied.nn"},
    "onnxruntime": {"embodied.nn"},
    "mujoco_warp": {"embodied.physics"},
    "mujoco": {
        *_under("physics", "robot", "randomization", "world", "sysid", "view", "deploy"),
        *("embodied_envs", "embodied_assets", "embodied_scripts"),
    }
    - WORDS,
    "rerun": {"embodied.view"},
    "matplotlib": {"embodied.view"},
    "cv2": {"embodied.robot", "embodied.view", "embodied.deploy"},
    "gymnasium": _under("world", "nn", "vector", "evaluation", "learn", "selfplay", "fleet")
    | {"embodied_envs", "embodied_policies", "embodied_scripts"},
    "pettingzoo": {"embodied.world", "embodied.selfplay", "embodied_envs", "embodied_scripts"},
    "tyro": {"embodied_scripts"},
    "rich": {"embodied_scripts"},
    "model_signing": {"embodied.lineage"},
    "cryptography": {"embodied.lineage"},
    "prov": {"embodied.lineage"},
    "scservo_sdk": {"embodied.deploy"},
    "rustypot": {"embodied.deploy"},
    "lerobot": {"embodied.deploy"},
}
CLI, THIN = ROOT / "scripts/embodied_scripts/cli", 80
COMPOSED = (
    "main.py",
    "options.py",
    "identify.py",
    "league.py",
    "lineage.py",
)  # several commands, or what all of them share
LARGEST_FOLDER, LONGEST_FUNCTION, MEDIAN_FUNCTION = 2500, 60, 8


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


def test_no_files_import_each_other_in_a_circle() -> None:
    trees = {".".join(path.relative_to(root).with_suffix("").parts): path for root, path in SOURCES}
    found = {}
    for module, path in trees.items():
        names = imports(ast.parse(path.read_text()), module.rpartition(".")[0])
        found[module] = {name if name in trees else name.rpartition(".")[0] for name in names} & trees.keys()
    TopologicalSorter(found).prepare()


def _function_imports(path: Path) -> list[str]:
    """What is imported inside functions, but for optional libraries (`with advice():`)."""
    tree = ast.parse(path.read_text())
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.With)]
    optional = {child for node in blocks if ast.unparse(node.items[0]) == "advice()" for child in node.body}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {node for f in functions for node in ast.walk(f) if isinstance(node, ast.Import | ast.ImportFrom)}
    return [ast.unparse(node) for node in inside - optional]


def test_imports_stand_at_the_top_of_a_file() -> None:
    found = {path.name: imported for _, path in SOURCES if (imported := _function_imports(path))}
    assert found == {}


def test_packages_form_layers_and_the_picture_shows_them() -> None:
    found = packages()
    layers = layers_of(found)
    level = {name: i for i, layer in enumerate(layers) for name in layer}
    assert all(level[used] < level[name] for name, one in found.items() for used in one.imports)
    assert level["embodied"] == 0 < level["embodied.robot"] < level["embodied.world"]
    drawn = svg(found, layers)
    assert all(f">{name.removeprefix('embodied.')}<" in drawn for name in found if name != "embodied")


def test_commands_are_thin() -> None:
    long = {path.name: len(path.read_text().splitlines()) for path in (CLI).glob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > THIN and name not in COMPOSED} == {}


def test_no_folder_grows_beyond_what_one_can_know() -> None:
    lines: dict[Path, int] = {}
    for _, path in SOURCES:
        lines[path.parent] = lines.get(path.parent, 0) + len(path.read_text().splitlines())
    assert {folder: count for folder, count in lines.items() if count > LARGEST_FOLDER} == {}


def test_functions_are_short() -> None:
    lengths = {}
    for _, path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths[f"{path.name}:{node.name}"] = (node.end_lineno or node.lineno) - node.lineno + 1
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}
    assert statistics.median(lengths.values()) <= MEDIAN_FUNCTION
