"""What a few minutes of a robot's own logs tell of it, and a study that goes on where it stopped."""

import json

import pytest

from embodied.randomization.distributions import Normal, Uniform
from embodied.randomization.spec import Randomization
from embodied_scripts.cli.study_transfer import Transfer
from embodied_scripts.studies import simulated_logs
from embodied_scripts.studies.transfer_study import CONDITIONS, REALITY, guess, reality, show


@pytest.fixture(scope="module")
def logs():
    return simulated_logs.record(reality(), minutes=1.5)


def test_noise_latency_and_reading_are_found_from_rest_and_from_the_sign(logs):
    found = {vary.names[0]: vary.by for vary in simulated_logs.of_sensors(logs)}
    for name in ("gyro/noise", "wheel_speed/noise", "camera/misread"):
        by = found[name]
        assert isinstance(by, Normal)
        assert abs(by.mean - REALITY[name]) < 4 * by.std, name
    for name in ("camera/latency_s", "camera/reading_range"):
        by = found[name]
        assert isinstance(by, Uniform)
        assert by.low - 0.01 <= REALITY[name] <= by.high + 0.01, name
        assert by.high - by.low < 0.1, name


def test_logs_show_what_the_robot_sensed_and_no_more(logs):
    assert {"camera/range", "wheel_speed", "current"} <= set(logs.drive[0].signals)
    assert all(len(log) == 31 for log in logs.drive)
    assert sum(map(len, [*logs.drive, *logs.rest, *logs.read])) / 10 == pytest.approx(90, rel=0.35)


def test_the_guess_has_everything_that_is_otherwise_in_reality():
    assert {name for vary in guess().terms for name in vary.names} == set(REALITY)


@pytest.mark.slow
def test_a_transfer_study_trains_judges_and_goes_on_where_it_stopped(tmp_path, capsys):
    reality().save(tmp_path / "fitted.json")  # instead of minutes of fitting
    done = [
        {"condition": c, "seed": 0, "steps": 8192, "episodes": 8, "reality": r, "declared": 0.9}
        for c, r in (("nominal", 0.2), ("uniform", 0.4), ("oracle", 0.8))
    ]
    shorter = done[0] | {"steps": 9, "reality": 1.0}
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (shorter, *done)))
    Transfer(base_steps=8192, steps=8192, seeds=1, episodes=8, jobs=1, out=tmp_path).run()
    rows = [json.loads(line) for line in (tmp_path / "table.jsonl").read_text().splitlines()]
    assert rows.pop(0)["steps"] == 9
    assert [row["condition"] for row in rows] == ["nominal", "uniform", "oracle", "fitted"]
    assert 0 <= rows[-1]["reality"] <= 1
    assert "33% (" in capsys.readouterr().out  # uniform: a third of the way from nominal to oracle
    assert Randomization.load(tmp_path / "oracle.json") == reality()
    assert {row["condition"] for row in rows} == set(CONDITIONS)
    show(rows)


def test_very_short_logs_say_little_and_break_nothing():
    by = {vary.names[0]: vary.by for vary in simulated_logs.of_sensors(simulated_logs.record(reality(), minutes=0.1))}
    assert {"gyro/noise", "camera/latency_s", "camera/reading_range"} <= set(by)
