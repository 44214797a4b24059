"""Every example of README and documentation runs, the site is whole, and every public name is in it."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    *(
        "tutorials/train.md",
        "tutorials/identify.md",
        "tutorials/selfplay.md",
        "tutorials/planner.md",
        "tutorials/foreign.md",
    ),
    *(
        "robot.md",
        "arm.md",
        "worlds.md",
        "learning.md",
        "sim2real.md",
        "deploy.md",
        "lineage.md",
        "fleet.md",
        "view.md",
    ),
)
TOGETHER = ("tutorials/own_robot.md", "tutorials/own_task.md")  # the second goes on with the first
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FEWER = {"1_500_000": "256", "n_envs=128": "n_envs=8", "n_steps=64": "n_steps=16", "batch_size=512": "batch_size=64"}


def code_of(*pages: str) -> str:
    return "\n".join(block for page in pages for block in BLOCK.findall((ROOT / page).read_text()))


def runs(code: str, folder: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}  # as a newcomer's shell has it
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page, tmp_path):
    runs(code_of(f"docs/{page}"), tmp_path)


def test_an_arm_with_a_camera_is_built_and_trained_from_the_tutorials(tmp_path):
    said = runs(code_of(*(f"docs/{page}" for page in TOGETHER)), tmp_path)
    assert "camera/rgb" in said


def test_no_page_with_examples_is_left_out():
    with_code = {
        str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md") if BLOCK.search(page.read_text())
    }
    assert with_code == {*PAGES, *TOGETHER}


def test_the_ten_lines_of_the_readme_run_with_fewer_steps(tmp_path):
    code = code_of("README.md")
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    for much, little in FEWER.items():
        assert much in code, much
        code = code.replace(much, little)
    runs(code, tmp_path)


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 100
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("http") or (ROOT / link).exists(), link


def public_names() -> dict[str, set[str]]:
    """What every package lists in its stub."""
    found = {}
    for home in (ROOT, ROOT / "policies"):
        for stub in home.glob("embodied*/**/__init__.pyi"):
            package = ".".join(stub.parent.relative_to(home).parts)
            listed = next(node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.Assign))
            found[package] = set(ast.literal_eval(listed.value))
    return found


def test_every_public_name_loads_and_is_in_the_reference():
    import importlib

    reference = "\n".join(page.read_text() for page in (ROOT / "docs/reference").glob("*.md"))
    for package, names in public_names().items():
        module = importlib.import_module(package)
        assert set(module.__all__) == names
        for name in names:
            assert hasattr(module, name), f"{package}.{name}"
            assert re.search(rf"^::: {re.escape(package)}\S*\.{name}$", reference, re.MULTILINE), f"{package}.{name}"


def test_torch_is_loaded_only_when_asked_for():
    code = "import sys, embodied, embodied_envs, embodied.learn, embodied.nn, embodied.world, embodied_policies\n"
    code += "import gymnasium; gymnasium.make('embodied/Signpost-v0').reset(seed=0); print('torch' in sys.modules)"
    assert runs(code, ROOT).strip() == "False"


BASE_INSTALL = """
import sys
from importlib.abc import MetaPathFinder

from embodied.extras import EXTRAS


class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())
"""


def test_without_extras_every_public_name_loads_or_says_what_to_install(tmp_path):
    code = f"""{BASE_INSTALL}
import importlib
from embodied.errors import MissingExtraError

needs = set()
for package, names in {public_names()!r}.items():
    module = importlib.import_module(package)
    for name in names:
        try:
            getattr(module, name)
        except MissingExtraError as error:
            needs.add((f"{{package}}.{{name}}", str(error).rpartition(": ")[2]))
print(sorted(needs))
"""
    needs = dict(ast.literal_eval(runs(code, tmp_path)))
    assert needs["embodied.learn.SequencePPO"] == "pip install 'embodied-sim2real[learn]'"
    assert needs["embodied.view.Scene"] == "pip install 'embodied-sim2real[view]'"
    assert not any(name.startswith(("embodied.mind", "embodied.world", "embodied.physics")) for name in needs)


def test_without_extras_the_command_says_what_to_install(tmp_path):
    code = f"""{BASE_INSTALL}
sys.argv = ["embodied", "list"]
from embodied_scripts.cli.main import main
try:
    main()
except SystemExit as end:
    print(end.code)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "pip install 'embodied-sim2real[cli]'" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_rendering_works_whatever_was_imported_first():
    code = "import mujoco, gymnasium\nimport embodied_envs\n"
    code += "env = gymnasium.make('embodied/Signpost-v0', render_mode='rgb_array'); env.reset(seed=0)\n"
    code += "print(env.render().std() > 5)"
    assert runs(code, ROOT).strip() == "True"
