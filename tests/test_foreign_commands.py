"""The command line with somebody else's environment, robot and options file."""

import re
from pathlib import Path

import pytest
from command import embodied

from embodied.nn import load_policy

EXAMPLE = (Path(__file__).parents[1] / "examples/own_task.py").read_text()
TINY = ("--n-envs", "4", "--n-steps", "8", "--steps", "32")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a module that registers an environment, and a run that was trained from a file of options."""
    folder = tmp_path_factory.mktemp("home")
    robot = "from embodied_envs.scout import scout\n\n\ndef mine():\n    return scout(10.0)\n"
    (folder / "knocking.py").write_text(f"{EXAMPLE}\n\nregister()\n{robot}")
    (folder / "options.toml").write_text('run = "knocked"\n[ppo]\nn_epochs = 2\n')
    return folder


@pytest.fixture(scope="module")
def trained(home):
    return embodied("train", "knocking:mine/Knock-v0", "--config", "options.toml", *TINY, cwd=home)


def test_training_says_the_next_command_and_that_command_works(home, trained):
    assert trained.returncode == 0, trained.stderr
    said = re.search(r"Next: embodied (.*)", trained.stdout)
    assert said
    evaluated = embodied(*said[1].split(), "--episodes", "4", cwd=home)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "mine/Knock-v0" in evaluated.stdout


def test_a_run_is_loaded_by_its_folder(home, trained):
    assert type(load_policy(str(home / "knocked"))).__name__ == "TransformerPolicy"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "knocking:mine/Nock-v0"), "did you mean 'mine/Knock-v0'"),
        (("train", "mine/Knock-v0"), "--import MODULE"),
        (("inspect", "knocking:mime"), "did you mean 'mine'"),
        (("inspect", "knocking:EXAMPLE_OF_NOTHING"), "no object of knocking"),
        (("evaluate", "knocked"), "--import MODULE"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(home, trained, arguments, message):
    result = embodied(*arguments, cwd=home)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_module_may_be_given_as_a_file_and_its_robot_inspected(home):
    result = embodied("inspect", "knocking:mine", "--import", "knocking.py", cwd=home)
    assert result.returncode == 0, result.stderr
    assert "left_motor" in result.stdout


def test_playing_says_who_plays(home):
    result = embodied("play", "knocking:mine/Knock-v0", "--rerun", "x.rrd", "--episodes", "1", cwd=home)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("mine/Knock-v0: random")


def test_a_model_without_actuators_cannot_be_commanded(home):
    (home / "ball.xml").write_text("<mujoco><worldbody><body><freejoint/><geom size='.1'/></body></worldbody></mujoco>")
    result = embodied("view", "ball.xml", "--control", "random", "--rerun", "x.rrd", cwd=home)
    assert result.returncode == 2
    assert "no actuators" in result.stderr
