"""Whether beliefs hold the truth as often as they say."""

import numpy as np
import pytest

from embodied.mind.credible_regions import LEVELS, central_region, coverage, smallest_region
from embodied_scripts.bench.beliefs import drift_regions, problem_regions, task_regions
from embodied_scripts.studies.classics import Tiger

N = 20_000


def honest(rng, k=4):
    """Beliefs of every kind, a few of them nearly certain, and truths drawn from them."""
    beliefs = rng.dirichlet(np.full(k, 0.3), N)
    truth = (beliefs.cumsum(axis=1) > rng.random((N, 1))).argmax(axis=1)
    return beliefs, truth


def test_the_regions_of_honest_beliefs_are_uniform_however_certain_they_are():
    rng = np.random.default_rng(0)
    beliefs, truth = honest(rng)
    for some in (beliefs.max(axis=1) > 0.9, beliefs.max(axis=1) < 0.6):
        regions = smallest_region(beliefs[some], truth[some], rng)
        assert coverage(regions) == pytest.approx(LEVELS, abs=0.012)
    alike = np.tile([0.25, 0.25, 0.25, 0.25], (N, 1))
    assert coverage(smallest_region(alike, truth, rng)) == pytest.approx(LEVELS, abs=0.012)


def test_who_is_too_certain_holds_the_truth_less_often_and_who_is_too_modest_more_often():
    rng = np.random.default_rng(1)
    beliefs, truth = honest(rng)
    sharp, dull = (beliefs**power for power in (3.0, 0.4))
    too_sure, too_modest = (
        coverage(smallest_region(each / each.sum(axis=1, keepdims=True), truth, rng)) for each in (sharp, dull)
    )
    assert too_sure[1] < 0.85
    assert too_modest[0] > 0.56


def test_the_smallest_region_by_hand():
    class Half:
        def random(self, n):
            return np.full(n, 0.5)

    beliefs = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2]])
    assert smallest_region(beliefs, [1, 2, 0], Half()) == pytest.approx([0.65, 0.9, 0.4])
    values, weights = np.array([[0.0, 1.0, 2.0, 3.0]]), np.array([[0.1, 0.2, 0.3, 0.4]])
    for truth, share in ((2.0, 2 * 0.45 - 1), (0.5, 2 * 0.1 - 1), (9.0, 1.0)):
        assert central_region(values, weights, np.array([truth]), Half())[0] == pytest.approx(abs(share))


def test_particles_hold_the_truth_in_a_quantity_and_foretell_nearly_as_well_as_kalmans_filter():
    found = drift_regions(40)
    for regions in found.values():
        mean, error = regions.covered
        assert (np.abs(mean - LEVELS) < 4 * error + 0.01).all()
        assert regions.exact - 0.05 < regions.foretold < regions.exact + 0.01


def test_the_filters_of_problems_and_tasks_are_honest():
    found = problem_regions(Tiger(), 60)
    assert found["particles"].foretold == pytest.approx(found["exact filter"].foretold, abs=0.02)
    found |= task_regions("embodied/Signpost-v0", 64)
    for regions in found.values():
        mean, error = regions.covered
        assert (np.abs(mean - LEVELS) < 4 * error + 0.01).all()
    assert task_regions("embodied/Heft-v0", 2) == {}  # servos differ: nobody can say
