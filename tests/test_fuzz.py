"""Damaged files are read or refused in one line; the whole corpus is `embodied fuzz`."""

from command import embodied

from embodied_scripts.trials.fuzz import attempt, case


def test_a_part_of_the_corpus_is_read_or_refused(tmp_path):
    result = embodied("fuzz", "--count", "500", "--seed", "1", "--processes", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "500 files of seed 1" in result.stdout


def test_a_case_is_made_from_its_number_alone():
    assert case(3, 17) == case(3, 17)
    assert case(3, 17) != case(4, 17)


def test_what_is_neither_read_nor_refused_would_be_named(tmp_path, monkeypatch):
    file = tmp_path / "log.csv"
    file.write_text("time_s,command[0]\n0,1\n1,2\n")
    assert attempt(file, 5.0) == "read"
    monkeypatch.setattr("embodied_scripts.trials.fuzz.lint", lambda recording: 1 / 0)
    assert attempt(file, 5.0) == "ZeroDivisionError: division by zero"
    monkeypatch.setattr("embodied_scripts.trials.fuzz.lint", lambda recording: [None for _ in iter(int, 1)])
    assert attempt(file, 0.2) == "TimeoutError: more than 0.2 s"
