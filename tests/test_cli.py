"""The command line, as a person uses it: a short run, its table, its recording, and what goes wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import get_args

import cv2
import numpy as np
import pytest
from command import embodied

from embodied.errors import OptionError
from embodied.learn import SequencePPO
from embodied_scripts.cli.bench import Measured
from embodied_scripts.cli.film import Film
from embodied_scripts.cli.play import Play
from embodied_scripts.training.curve import EpisodesMet

TINY = ("--n-envs", "8", "--n-steps", "16", "--steps", "400")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    result = embodied("train", "Signpost-v0", "--run", folder, *TINY)
    assert result.returncode == 0, result.stderr
    return folder


def test_a_run_is_loaded_in_python_by_its_folder(run):
    model = SequencePPO.load(str(run))
    assert model.num_timesteps >= 400
    assert model.n_envs == 8


def test_a_run_folder_says_where_it_comes_from(run):
    written = json.loads((run / "run.json").read_text())
    assert written["settings"]["id"] == "embodied/Signpost-v0"
    assert {"started", "git", "versions"} <= set(written)
    assert written["versions"]["mujoco"]
    assert len((run / "metrics.jsonl").read_text().splitlines()) >= 3
    assert list(run.glob("events.out.tfevents*"))


def test_evaluate_prints_the_table_and_writes_json(run, tmp_path):
    out = tmp_path / "measures.json"
    result = embodied("evaluate", run, "--episodes", "32", "--json", out)
    assert result.returncode == 0, result.stderr
    for word in ("random", "uninformed", "oracle", "success", "bits", "exact filter", "calibration error"):
        assert word in result.stdout
    players = json.loads(out.read_text())["players"]
    assert players["tiny"]["information_bits"] is not None
    assert players["oracle"]["success"] > players["uninformed"]["success"]


def test_play_writes_a_recording_that_holds_every_stream(run, tmp_path):
    pytest.importorskip("rerun")
    file = tmp_path / "play.rrd"
    result = embodied("play", run, "--rerun", file, "--episodes", "1")
    assert result.returncode == 0, result.stderr
    printed = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "rerun"), "rrd", "print", file], capture_output=True, text=True
    ).stdout
    streams = ("/belief/agent/red", "/entropy/agent", "/attention/heads", "/actions/left_motor")
    for entity in ("/world/robot/chassis", "/world/rays", "/camera/line", *streams):
        assert entity in printed, entity


SHOWN = [
    ("LightDark-v0", "x is", ("/world/rays/",)),
    ("Search-v0", "target_place is", ("/actions/this",)),
    ("Sumo-v0", "east mass is", ("/west/actions/left_motor", "/east/camera/line", "/world/rays/east")),
]


@pytest.mark.parametrize(("env", "hidden", "parts"), SHOWN)
def test_environments_with_hidden_quantities_and_duels_are_shown_too(env, hidden, parts, tmp_path):
    pytest.importorskip("rerun")
    file = tmp_path / "play.rrd"
    Play(env, rerun=str(file), episodes=1, options=("episode_s=2.0",)).run()
    tool = os.path.join(os.path.dirname(sys.executable), "rerun")
    printed = subprocess.run([tool, "rrd", "print", "-vvv", file], capture_output=True, text=True).stdout
    for part in ("/world/rays", "/camera/line", "/actions/left_motor", hidden, *parts):
        assert part in printed, part


def test_many_worlds_are_shown_side_by_side_with_a_tally_of_how_they_end(tmp_path, capsys):
    pytest.importorskip("rerun")
    file = tmp_path / "grid.rrd"
    Play("Signpost-v0", rerun=str(file), episodes=1, worlds=4, player="random", options=("episode_s=1.0",)).run()
    assert "4 worlds: 4 × failure" in capsys.readouterr().out
    tool = os.path.join(os.path.dirname(sys.executable), "rerun")
    printed = subprocess.run([tool, "rrd", "print", file], capture_output=True, text=True).stdout
    for part in ("/worlds/0/world/robot/chassis", "/worlds/3/world/robot", "/outcomes/failure", "/returns/mean"):
        assert part in printed, part


@pytest.mark.slow
def test_an_episode_is_filmed_with_what_was_believed(run, tmp_path):
    pytest.importorskip("PIL")
    Film(str(run), tmp_path / "film.mp4", width=160, options=("episode_s=3.0",)).run()
    film = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    pictures = [film.read()[1] for _ in range(int(film.get(cv2.CAP_PROP_FRAME_COUNT)))]
    assert film.get(cv2.CAP_PROP_FPS) == 10
    assert 11 < len(pictures) <= 42  # of an episode of three seconds, as the options say, and not as it learned
    with pytest.raises(OptionError, match="plays itself"):
        Film(str(run), tmp_path / "film.mp4", player="oracle").run()
    world, belief = pictures[5][:120], pictures[5][120:]
    assert world.std() > 10
    red, blue = (np.abs(belief.astype(int) - color).sum(axis=2).min() for color in ([45, 50, 220], [219, 107, 31]))
    assert max(red, blue) < 90


@pytest.mark.parametrize("name", ["story.png", "film.gif"])
def test_pictures_and_small_films_are_written_for_every_task_without_a_viewer(name, tmp_path):
    image = pytest.importorskip("PIL.Image")
    Film("Weigh-v0", tmp_path / name, width=96, options=("episode_s=2.0",)).run()
    written = image.open(tmp_path / name)
    assert written.width == (96 if name.endswith("gif") else 4 * (96 + 14) + 14)
    assert getattr(written, "n_frames", 1) > 10 or name.endswith("png")


def test_a_run_goes_on_where_it_stopped(run):
    before = json.loads((run / "policy" / "trainer.json").read_text())["num_timesteps"]
    result = embodied("train", "Signpost-v0", "--run", run, "--resume", "--steps", str(before + 200))
    assert result.returncode == 0, result.stderr
    assert json.loads((run / "policy" / "trainer.json").read_text())["num_timesteps"] >= before + 200


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_can_be_resumed(tmp_path):
    folder = tmp_path / "stopped"
    command = [
        sys.executable,
        "-m",
        "embodied_scripts.cli.main",
        "train",
        "Signpost-v0",
        "--run",
        folder,
        "--steps",
        "9999999",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "--resume" in stdout
    done = json.loads((folder / "policy" / "trainer.json").read_text())["num_timesteps"]
    result = embodied("train", "Signpost-v0", "--run", folder, "--resume", "--steps", str(done + 8192))
    assert result.returncode == 0, result.stderr
    assert json.loads((folder / "policy" / "trainer.json").read_text())["num_timesteps"] > done


def test_a_mistake_leaves_no_run_behind(tmp_path):
    folder = tmp_path / "fresh"
    assert embodied("train", "Signpost-v0", "--options", "placs=random", "--run", folder).returncode == 2
    assert embodied("train", "Signpost-v0", "--run", folder, *TINY).returncode == 0


def test_what_a_run_was_begun_with_cannot_be_changed_by_resuming(run):
    result = embodied("train", "Signpost-v0", "--run", run, "--resume", "--layers", "3")
    assert result.returncode == 2
    assert "begun with layers = its default" in result.stderr


@pytest.mark.parametrize("what", get_args(Measured))
def test_every_benchmark_runs_and_names_its_ratios(what, tmp_path):
    if what in ("learn", "cheetah"):
        pytest.importorskip("sb3_contrib")
        pytest.importorskip("imageio")
    if what == "view":
        pytest.importorskip("rerun")
    out = tmp_path / "rates.json"
    result = embodied("bench", what, "--rounds", "1", "--small", "--json", out)
    assert result.returncode == 0, result.stderr
    rates = json.loads(out.read_text())
    assert len(rates) >= 2
    assert all(rate > 0 for figures in rates.values() for rate in figures)


def test_inspect_prints_the_body_and_draws_it(tmp_path):
    picture = tmp_path / "scout.png"
    result = embodied("inspect", "scout", "--picture", picture)
    assert result.returncode == 0, result.stderr
    for word in ("wheel_speed", "9.9 ± 1 ms", "100 Hz", "left_motor", "1.47 N·m", "Pololu"):
        assert word in result.stdout, word
    assert picture.stat().st_size > 20_000


def test_list_shows_what_is_hidden():
    result = embodied("list")
    assert "Signpost" in result.stdout
    assert "good_pad" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "Singpost-v0"), "did you mean 'Signpost-v0'"),
        (("train", "Signpost-v0", "--options", "placs=random"), "did you mean 'places'"),
        (("train", "Signpost-v0", "--options", "places"), "must look like name=value"),
        (("train", "Signpost-v0", "--layers", "40"), "expected 1 to 12"),
        (("train", "Signpost-v0", "--run", "nowhere", "--resume"), "does not exist"),
        (("evaluate", "nowhere"), "holds no run"),
        (("evaluate",), "name at least one run"),
        (("inspect", "rover"), "known: scout"),
        (
            ("play", "Signpost-v0", "--player", "wizard", "--rerun", "x.rrd"),
            "heuristic, oracle, random, trained, uninformed",
        ),
        (("play", "Signpost-v0", "--rerun", "movie.mp4"), "live, web, or a file"),
        (("film", "Signpost-v0", "film.avi"), "known: .gif, .mp4, .png"),
        (("train", "Signpost-v0", "--policy", "GRUPolicy", "--with-memoryless"), "--policy MlpPolicy"),
        (("train", "Signpost-v0", "--view", "live", "--seeds", "2"), "watches one training"),
        (("train", "Signpost-v0", "--view-every", "-1"), "0 or more seconds"),
        (("study", "hopper", "--only", "wrong"), "known: memory, naive, privileged, target, uniform, widened"),
        (("trian", "Signpost-v0"), "did you mean 'train'"),
        (("train", "nowhere_at_all:Mine-v0"), "module 'nowhere_at_all' cannot be imported"),
        (("play", "Signpost-v0", "--worlds", "0"), "must be at least 1"),
        (("study", "transfer", "--minutes", "0"), "must be positive"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(arguments, message, tmp_path):
    result = embodied(*arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stdout
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_is_never_overwritten(run):
    result = embodied("train", "Signpost-v0", "--run", run, *TINY)
    assert result.returncode == 2
    assert "already holds a run" in result.stderr


def test_evaluating_a_damaged_run_says_what_is_damaged(run, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    (broken / "policy" / "policy.safetensors").write_bytes(b"not a policy")
    result = embodied("evaluate", broken)
    assert result.returncode == 2
    assert "policy.safetensors is damaged" in result.stderr


def test_a_policy_is_exported_from_the_command_line(run, tmp_path):
    result = embodied("export", run, "--onnx", tmp_path / "policy.onnx")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "policy.onnx").stat().st_size > 10_000
    assert (tmp_path / "policy.json").exists()


def test_a_league_is_watched_in_a_process_of_its_own(tmp_path):
    small = ("--n-envs", "32", "--n-steps", "8", "--steps", "600", "--checkpoints", "1", "--options", "episode_s=1")
    trained = embodied("league", "train", "Sumo-v0", "--run", tmp_path / "league", *small)
    assert trained.returncode == 0, trained.stderr
    shown = embodied("play", tmp_path / "league", "--rerun", tmp_path / "sumo.rrd", "--episodes", "1")
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "sumo.rrd").stat().st_size > 10_000


def test_a_study_that_was_interrupted_goes_on_with_what_is_missing(tmp_path):
    out = tmp_path / "study.jsonl"
    rows = [
        {"env": env, "core": "mlp", "seed": 0, "return": 1.0, "error": 0.1, "seconds": 2.0, "steps_per_s": 9}
        for env in ("CartPoleNoVel-v1", "PendulumNoVel-v1", "MountainCarContinuousNoVel-v0")
    ]
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = embodied("study", "novel", "--cores", "mlp", "--out", out)
    assert result.returncode == 0, result.stderr
    assert "published" in result.stdout
    assert len(out.read_text().splitlines()) == 3
    picture = tmp_path / "curves.png"
    refused = embodied("study", "novel", "--cores", "mlp", "--out", out, "--picture", picture)
    assert refused.returncode == 2
    assert "before there were curves" in refused.stderr
    rows[1]["curve"] = [[1000, -1200.0], [2000, -300.0]]
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawn = embodied("study", "novel", "--cores", "mlp", "--out", out, "--picture", picture)
    assert drawn.returncode == 0, drawn.stderr
    assert picture.stat().st_size > 5_000


def test_a_curve_is_the_mean_of_the_episodes_that_ended_in_each_part_of_a_training():
    met = EpisodesMet()
    for step in range(1, 101):
        met.num_timesteps = step
        met.locals = {"infos": [{}, {"episode": {"r": float(step)}}] if step % 2 else [{}]}
        met._on_step()
    assert met.curve()[0] == (1, 1.0)
    assert met.curve()[-1] == (99, 99.0)
    assert len(met.curve()) == 50
    assert EpisodesMet().curve() == []


def test_other_networks_and_what_was_done_before_are_chosen_on_the_command_line(tmp_path):
    chosen = ("--policy", "GRUPolicy", "--previous", "action", "reward", "--forward-model-coef", "0.5")
    result = embodied("train", "Signpost-v0", "--run", tmp_path / "gru", *TINY, *chosen)
    assert result.returncode == 0, result.stderr


def test_training_starts_from_another_run_and_that_run_may_be_gone_when_it_is_resumed(run, tmp_path):
    source, folder = tmp_path / "source", tmp_path / "next"
    shutil.copytree(run, source)
    begun = embodied("train", "Signpost-v0", "--start-from", source, "--run", folder, *TINY)
    assert begun.returncode == 0, begun.stderr
    shutil.rmtree(source)
    again = embodied("train", "Signpost-v0", "--resume", "--run", folder, "--steps", "800")
    assert again.returncode == 0, again.stderr


def test_training_starts_from_the_policy_that_comes_with_an_environment(tmp_path):
    begun = embodied("train", "Signpost-v0", "--start-from", "Signpost-v0", "--run", tmp_path / "run", *TINY)
    assert begun.returncode == 0, begun.stderr
    lineage = json.loads((tmp_path / "run" / "policy" / "policy.json").read_text())["contract"]["lineage"]
    assert lineage["parent"] == "Signpost-v0"
    wrong = embodied("train", "Signpost-v0", "--start-from", "runs/none", "--run", tmp_path / "other", *TINY)
    assert wrong.returncode == 2
    assert "no run, or environment with a policy, 'runs/none'" in wrong.stderr


def test_training_begins_with_lessons_and_goes_on_with_them(run, tmp_path):
    for name, expert in (("scripted", "heuristic"), ("network", run)):
        folder = tmp_path / name
        begun = embodied("train", "Signpost-v0", "--expert", expert, "--dagger-share", "0.9", "--run", folder, *TINY)
        assert begun.returncode == 0, begun.stderr
        metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert any(line.get("train/imitation_loss") for line in metrics)
        resumed = embodied("train", "Signpost-v0", "--run", folder, "--resume", "--steps", "600")
        assert resumed.returncode == 0, resumed.stderr
    unknown = embodied("train", "Signpost-v0", "--expert", "owl", "--run", tmp_path / "none", *TINY)
    assert unknown.returncode == 2
    assert "heuristic" in unknown.stderr


def test_an_id_alone_is_evaluated_by_its_reference_players():
    result = embodied("evaluate", "Search-v0", "--episodes", "8")
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in ("random", "uninformed", "heuristic", "oracle"))


def test_the_suite_writes_its_own_pages(tmp_path):
    pytest.importorskip("PIL")
    result = embodied("list", "--pages", tmp_path, "--episodes", "0")
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "suite.md").read_text()
    for name in ("Signpost", "LightDark", "Search", "Weigh", "HideSeek", "Sumo"):
        assert f"## {name}-v0" in page
        assert (tmp_path / f"suite-{name.lower()}.png").stat().st_size > 5_000


def test_what_a_player_did_is_recorded_and_imitated(tmp_path):
    shown, folder = tmp_path / "shown", tmp_path / "run"
    recorded = embodied("collect", "Signpost-v0", shown, "--player", "heuristic", "--episodes", "8", "--worlds", "8")
    assert recorded.returncode == 0, recorded.stderr
    assert "8 episodes, mean return +0.9" in recorded.stdout
    assert "100% successful" in recorded.stdout
    trained = embodied(
        "train", "Signpost-v0", "--demonstrations", shown, "--cloning-epochs", "2", "--run", folder, *TINY
    )
    assert trained.returncode == 0, trained.stderr
    assert "Imitated 8 episodes" in trained.stdout
    resumed = embodied("train", "Signpost-v0", "--run", folder, "--resume", "--steps", "600")
    assert resumed.returncode == 0, resumed.stderr
    assert "Imitated" not in resumed.stdout
    planned = embodied("collect", "Signpost-v0", tmp_path / "planned", "--episodes", "1", "--samples", "1")
    assert planned.returncode == 0, planned.stderr
    for arguments, said in (
        (("collect", "Signpost-v0", shown), "not empty"),
        (("collect", "Sumo-v0", tmp_path / "none"), "Weigh-v0"),
        (("collect", "CartPole-v1", tmp_path / "none"), "landmarks to plan with"),
        (("collect", "Signpost-v0", tmp_path / "none", "--player", "owl"), "heuristic"),
        (("train", "Search-v0", "--demonstrations", shown, "--run", tmp_path / "other", *TINY), "Signpost-v0"),
        (("train", "Signpost-v0", "--demonstrations", tmp_path / "none", "--run", tmp_path / "other", *TINY), "exist"),
    ):
        refused = embodied(*arguments)
        assert refused.returncode == 2, arguments
        assert said in refused.stderr, refused.stderr
