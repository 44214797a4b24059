"""Planning with options: what is tried, what stands for what is not, and what that is worth."""

import numpy as np
import pytest
from boxes import FEELS, PRIOR, Boxes, K, M, by_hand, everything_tried, told

from embodied.errors import CheckpointError
from embodied.mind.options.likeness import likeness
from embodied.mind.options.lookahead import Knowledge, look, wanted
from embodied.mind.options.outcome_table import SEEN, OutcomeTable
from embodied.mind.options.planner import OptionPlanner
from embodied.mind.options.problem import OVER, ROOT, OptionOutcome


def test_where_all_is_known_a_belief_is_worth_what_a_full_search_finds():
    knowledge = Knowledge(everything_tried(), OutcomeTable())
    for belief in (PRIOR, np.array([0.1, 0.1, 0.8]), np.full(K, 1 / 3)):
        ahead = look(knowledge, ROOT, belief[None], np.ones(1))
        assert ahead.value[0] == pytest.approx(by_hand(belief), abs=0.01)
    assert by_hand(PRIOR) > 0.1 > PRIOR.max() - 0.8 * (1 - PRIOR.max())  # which takes feeling


def test_before_anything_is_tried_everything_is_wanted_and_nothing_is_worth_anything():
    knowledge = Knowledge(Boxes(), OutcomeTable())
    ahead = look(knowledge, ROOT, PRIOR[None], np.ones(1))
    assert not ahead.tried.any()
    assert (ahead.worth == -np.inf).all()
    assert sorted(wanted(ahead, knowledge)) == [(ROOT, option) for option in range(2 * K)]


def test_a_planner_tries_first_what_its_plan_relies_on_and_far_from_everything():
    problem = Boxes()
    planner = OptionPlanner(problem, seconds=20.0)
    planner._seconds = 0.15
    action = planner.act()
    nodes = sum(3**depth for depth in range(FEELS + 1))
    assert [node for node, _ in problem.asked[: 2 * K]] == [ROOT] * (2 * K)
    whole = look(Knowledge(everything_tried(), OutcomeTable()), ROOT, PRIOR[None], np.ones(1))
    assert whole.worth[0, problem.actions.index(action)] == pytest.approx(whole.value[0], abs=0.02)
    assert len(problem.asked) <= 2 * K * nodes


def test_what_is_seen_and_that_the_episode_goes_on_changes_what_is_believed():
    problem = everything_tried()
    node = problem.known(ROOT, "feel 1").after
    over = np.array([[True, True], [False, False], [True, False]])
    problem.outcomes[node, "feel 2"] = OptionOutcome(np.zeros((K, M)), np.zeros((K, M, K)), over, np.ones((K, M)), 2)
    planner = OptionPlanner(problem, seconds=0.05)
    planner.act()
    planner.update("feel 1", told(1)[1, 0])
    expected = PRIOR * np.exp([0.0, 2.0, 0.0])
    assert np.allclose(planner.belief, expected / expected.sum())
    before = planner.belief
    planner.update("feel 2", np.zeros(K))
    assert planner.belief[0] < 0.01
    assert planner.belief[2] / planner.belief[1] == pytest.approx(0.5 * before[2] / before[1], rel=0.02)


def test_what_was_never_tried_leaves_a_planner_without_a_plan_but_with_what_it_believes():
    planner = OptionPlanner(Boxes(), seconds=1e-9)
    assert not planner.exhausted
    action = planner.act()
    planner.update(action, np.array([0.0, 1.0, 0.0]))
    assert planner.exhausted
    assert planner.belief[1] == pytest.approx(0.3 * np.e / (0.7 + 0.3 * np.e))


def test_an_option_that_there_is_no_time_for_is_not_counted_on():
    problem = Boxes()
    for action in ("open 0", "feel 0"):
        problem.ask(ROOT, action)
    while problem.advance():
        pass
    early = look(Knowledge(problem, OutcomeTable()), ROOT, PRIOR[None], np.ones(1))
    problem.left_s = lambda node: 1.5  # one option, and half of another
    late = look(Knowledge(problem, OutcomeTable()), ROOT, PRIOR[None], np.ones(1))
    feel = problem.actions.index("feel 0")
    assert late.worth[0, feel] < early.worth[0, feel] - 0.2
    opening = problem.actions.index("open 0")
    assert late.worth[0, opening] == early.worth[0, opening]


def outcome(reward, after=OVER, seconds=1.0, over=True):
    k = len(reward)
    return OptionOutcome(
        np.array(reward, float)[:, None], np.zeros((k, 1, k)), np.full((k, 1), over), np.full((k, 1), seconds), after
    )


def test_earlier_outcomes_stand_for_what_has_not_been_tried_after_the_same_options():
    table = OutcomeTable()
    table.note(("feel 0",), "open 1", outcome([-1.0, 1.0, -1.0]))
    table.note(("feel 0",), "open 1", outcome([-1.0, 0.0, -1.0]))
    recalled = table.recall(("feel 0",), "open 1", K)
    assert np.array_equal(recalled.reward, [[-1, -1], [1, 0], [-1, -1]])
    assert table.recall((), "open 1", K) is None
    assert table.recall(("feel 0", "feel 0"), "open 1", K) is None
    drawn = OutcomeTable(alike=False)
    drawn.note((), "stop", outcome([0.0, 1.0, 2.0, 3.0]))
    recalled = drawn.recall((), "stop", 2)
    assert np.array_equal(recalled.reward, [[1.5], [1.5]])
    assert np.array_equal(recalled.evidence, np.zeros((2, 1, 2)))
    assert recalled.over.all()


def test_what_is_to_be_had_is_known_once_enough_has_been_seen_and_never_where_rewards_add_up():
    table = OutcomeTable()
    for i in range(SEEN):
        assert table.enough == np.inf
        table.note((), "open 0", outcome([i / SEEN, -1.0, 0.0]))
    assert table.enough == pytest.approx((SEEN - 1) / SEEN, abs=0.03)
    table.note((), "collect", outcome([0.1, 0.1, 0.1], after=3, over=False))
    assert table.enough == np.inf


def test_a_table_of_outcomes_is_saved_and_goes_on_elsewhere_and_a_hostile_file_is_refused(tmp_path):
    table = OutcomeTable()
    table.note(("feel 0", "feel 2"), "open 1", outcome([-1.0, 1.0, 0.5]))
    table.note((), "feel 1", outcome([-0.1, -0.1, -0.1], after=4, over=False))
    table.save(tmp_path / "boxes")
    again = OutcomeTable.load(tmp_path / "boxes")
    recalled = again.recall(("feel 0", "feel 2"), "open 1", K)
    assert np.array_equal(recalled.reward, [[-1.0], [1.0], [0.5]])
    assert recalled.over.all()
    assert again.recall((), "feel 1", K).after == 4
    assert (again.most, again.least, again.range) == (1.0, -1.0, 2.0)
    OutcomeTable().save(tmp_path / "none")
    assert OutcomeTable.load(tmp_path / "none").range == 1.0
    for name, content in (("text", b"hello"), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="no table"):
            OutcomeTable.load(tmp_path / name)
    with pytest.raises(CheckpointError):
        OutcomeTable.load(tmp_path / "missing")
    np.savez(tmp_path / "objects.npz", about=np.array([{}], object))
    with pytest.raises(CheckpointError):
        OutcomeTable.load(tmp_path / "objects.npz")


def samples(m=6, d=150, tell=(3.0,), seed=0):
    """Of three hypotheses: noise, and at each number that tells the second differs by so much."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(0, [0.2, 5.0, 1.0] * (d // 3), (K, m, d))
    for i, by in enumerate(tell):
        drawn[1, :, i] += by
    return drawn


def test_what_differs_beyond_chance_tells_and_what_does_not_says_nothing():
    given = samples()
    seen = np.zeros((2, 150))
    seen[0, 0], seen[1, 1] = 3.0, 15.0
    told_by = likeness(seen, given)
    assert told_by[0, 1] - told_by[0, [0, 2]].max() > 3
    assert told_by[1, 1] - told_by[1, [0, 2]].min() < -3  # whatever the second number is
    assert likeness(seen, samples(tell=())).std(axis=1).max() == 0.0


def test_chance_seldom_seems_to_tell():
    rng = np.random.default_rng(5)
    wrong = 0
    for seed in range(200):
        logs = likeness(rng.normal(0, [0.2, 5.0, 1.0] * 50, (1, 150)), samples(tell=(), seed=seed))
        wrong += bool(logs.std() > 0)
    assert wrong <= 6  # of 200, where 2 are to be expected


def test_what_is_far_from_all_that_was_imagined_says_little():
    near, far = np.zeros((1, 150)), np.zeros((1, 150))
    near[0, 0], far[0, 0] = 3.0, 3000.0
    given = samples()
    sure, lost = (np.ptp(likeness(seen, given)) for seen in (near, far))
    assert sure > 3 > 0.1 > lost


def test_one_sample_of_each_is_compared_by_its_distance_alone():
    given = np.array([0.5, -0.5, -0.45])[:, None, None] * np.array([1.0, 0.0])
    logs = likeness(np.array([[0.45, 7.0], [-0.5, 7.0], [0.0, 7.0]]), given)
    assert logs[0, 0] - logs[0, 1:].max() > 3
    assert logs[1, 1:].min() - logs[1, 0] > 3
    assert abs(logs[1, 1] - logs[1, 2]) < 0.2
    assert np.ptp(logs[2]) < 1.0
