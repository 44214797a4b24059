"""A problem that is written out is the problem; bounds hold what is true, and close in on it."""

import math

import numpy as np
import pytest

from embodied.errors import OptionError, ProblemError, UnknownNameError
from embodied.mind.belief import posterior as bayes
from embodied.mind.best_arm import Budget
from embodied.mind.planner import Planner
from embodied.mind.problem import Simulator
from embodied.mind.solver.explicit import ExplicitModel
from embodied.mind.solver.kinds import Kinds
from embodied.mind.solver.known_plans import add_known_plans
from embodied.mind.solver.point_based import PointBased
from embodied.mind.solver.values import Values
from embodied.mind.states import StateSet
from embodied_scripts.studies.classics import RockSample, SimpleLightDark, Tag, Tiger


def written_out(problem, seed=0):
    rng = np.random.default_rng(seed)
    simulator = Simulator(problem, rng)
    listed = StateSet(simulator, 20_000, 2000, rng)
    assert listed.complete
    return simulator, listed, ExplicitModel.of(simulator, listed, rng)


class Dice:
    """A few states, actions and observations with probabilities at random; nothing ends."""

    discount, actions = 0.5, (0, 1, 2)
    n = 3

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.prior = rng.dirichlet(np.ones(self.n))
        self.follows = rng.dirichlet(0.5 * np.ones(self.n), (3, self.n))
        self.told = rng.dirichlet(0.5 * np.ones(2), (3, self.n))
        self.reward = rng.normal(size=(self.n, 3))

    def initial(self, n, rng):
        return rng.choice(self.n, n, p=self.prior)

    def step(self, states, action, rng):
        after = (rng.random((len(states), 1)) > self.follows[action, states].cumsum(axis=1)).sum(axis=1)
        seen = (rng.random(len(states)) > self.told[action, after, 0]).astype(int)
        return after, seen, self.reward[states, action], np.zeros(len(states), bool)

    def likelihood(self, observation, states, action):
        return self.told[action, states, observation]

    def worth(self, belief, depth):
        """Exact, but for what follows after `depth` steps, which is taken for nothing."""
        if depth == 0:
            return 0.0
        each = []
        for action in self.actions:
            ahead = belief @ self.follows[action]
            seen = ahead[:, None] * self.told[action]
            later = sum(p * self.worth(joint / p, depth - 1) for joint in seen.T if (p := joint.sum()) > 0)
            each.append(belief @ self.reward[:, action] + self.discount * later)
        return max(each)


@pytest.mark.parametrize("seed", range(4))
def test_bounds_hold_what_a_full_look_ahead_finds_and_close_in_on_it(seed):
    problem = Dice(seed)
    simulator, listed, model = written_out(problem)
    rng = np.random.default_rng(0)
    solver = PointBased(simulator, model, Values.of(simulator, listed, model, rng), rng)
    root = solver.root(listed.states[model.initial > 0], model.initial[model.initial > 0])
    depth = 6
    unseen = problem.discount**depth / (1 - problem.discount) * np.abs(problem.reward).max()
    true = problem.worth(problem.prior, depth)
    sampled = 0.03  # transitions are counted
    before = root.upper - root.lower
    solver.improve(root, Budget(None, 100))
    assert true - unseen - sampled < root.upper
    assert root.lower < true + unseen + sampled
    assert root.lower <= root.upper + 1e-9
    assert root.upper - root.lower < max(0.2 * before, 0.01)


def test_transitions_and_rewards_are_those_of_the_problem():
    problem = Dice(7)
    _, listed, model = written_out(problem)
    order = listed.states.reshape(-1)
    assert model.initial == pytest.approx(problem.prior[order], abs=0.015)
    assert model.rewards == pytest.approx(problem.reward[order])
    for action in problem.actions:
        counted = model.transitions[action].toarray()
        assert counted == pytest.approx(problem.follows[action][order][:, order], abs=0.08)
        assert counted.sum(axis=1) == pytest.approx(1.0)
        told = model.groups[action].probabilities.toarray()
        assert model.groups[action].fine
        wanted = problem.told[action][order].T
        assert np.sort(told, axis=0) == pytest.approx(np.sort(wanted, axis=0))


def test_what_ends_is_followed_by_nothing():
    _, listed, model = written_out(Tiger())
    left = Tiger.actions.index("left")
    assert model.transitions[left].nnz == 0
    at_left = np.flatnonzero((listed.states == (0, 0)).all(axis=1))
    assert model.rewards[at_left, left] == -100.0


def test_states_are_told_apart_that_are_never_confused():
    _, listed, model = written_out(Tag())
    going = listed.states[:, 1] != Tag.CAUGHT
    robot, kind = listed.states[going, 0], model.kind[going]
    same_cell = robot == listed.states[going, 1]
    for cell in range(len(Tag.CELLS)):
        elsewhere = (robot == cell) & ~same_cell
        assert len(np.unique(kind[elsewhere])) == 1  # where the other is cannot be seen
        assert not np.isin(kind[(robot == cell) & same_cell], kind[elsewhere]).any()  # it is seen in the same cell
        assert not np.isin(kind[robot != cell], kind[elsewhere]).any()  # and so is the robot's own


def test_readings_of_which_no_two_are_alike_are_grouped_by_what_they_tell():
    _, listed, model = written_out(SimpleLightDark())
    groups = model.groups[SimpleLightDark.actions.index(1)]
    assert groups.fine
    told = groups.probabilities.toarray()
    reached = (listed.states > -60) & (listed.states != SimpleLightDark.OVER)  # by a step to the right
    assert told[:, reached].sum(axis=0) == pytest.approx(1.0)
    assert not told[:, ~reached].any()
    near, beside, far = (told[:, np.flatnonzero(listed.states == x)[0]] for x in (10.0, 11.0, -50.0))
    assert near.max() > 0.99  # at the light, a reading says it all
    assert (near * beside).sum() < 0.1
    further = told[:, np.flatnonzero(listed.states == -49.0)[0]]
    assert np.minimum(far, further).sum() > 0.8  # in the dark, it does not tell a cell from the next
    assert 0 < groups.lost < 0.03


def test_the_rover_looks_at_rocks_before_it_samples_them():
    planner = Planner(RockSample(), simulations=1)
    node = planner._node(planner._values)
    assert node.lower == pytest.approx(10 * 0.95**6, abs=0.01)  # straight out to the east
    planner._values.improve(node, Budget(None, 150))
    assert 19.0 < node.lower < 22.0 < node.upper  # SARSOP's plan: 21.5


def test_bounds_are_told_where_there_are_any():
    planner = Planner(Tiger(), simulations=50)
    planner.act()
    low, high = planner.bounds
    assert high - low < 0.1
    planner.update("listen", 1)
    planner.think(0.05)
    assert planner.bounds[0] > low  # having heard something is worth something
    planner.reset()
    assert planner.bounds == (low, high)
    with pytest.raises(OptionError, match="only with values"):
        _ = Planner(Tiger(), simulations=50, method="rollouts").bounds


def test_a_door_is_opened_after_three_sounds_that_agree_and_the_right_one():
    planner = Planner(Tiger(), simulations=200)
    done = []
    for _ in range(4):
        done.append(planner.act())
        planner.update(done[-1], 0)
    assert done == ["listen", "listen", "listen", "right"]


def test_a_particle_without_weight_that_explains_best_what_is_seen_is_no_evidence():
    posterior = bayes(np.array([[1.0, 0.0]]), np.array([[-800.0, 0.0]]))
    assert posterior.tolist() == [[1.0, 0.0]]


def test_time_for_a_decision_is_kept_at_the_first_one_too(monkeypatch):
    clock = [0.0]

    def tick():
        clock[0] += 1e-3
        return clock[0]

    planner = Planner(SimpleLightDark(), seconds=0.2)
    monkeypatch.setattr("time.perf_counter", tick)
    began = clock[0]
    planner.act()
    assert 0.1 < clock[0] - began < 0.22
    assert math.isfinite(planner.prepared_s)


class Murmur(Tiger):
    """The tiger is heard as a number, around -1 on the left and around 1 on the right."""

    spread = 1.2

    def step(self, states, action, rng):
        after, _, reward, done = super().step(states, action, rng)
        return after, 2.0 * states[:, 0] - 1 + rng.normal(0, self.spread, len(states)), reward, done

    def likelihood(self, heard, states, action):
        if action != "listen":
            return np.ones(len(states))
        return np.exp(-0.5 * ((heard - (2.0 * states[:, 0] - 1)) / self.spread) ** 2)

    def worth(self):
        """Of an even belief, by dynamic programming over the log odds that the tiger is on the right."""
        odds = np.linspace(-12, 12, 961)
        right = 1 / (1 + np.exp(-odds))
        doors = 10 - 110 * np.minimum(right, 1 - right)
        heard = np.linspace(-7, 7, 281)
        density = [np.exp(-0.5 * ((heard - side) / self.spread) ** 2) for side in (-1, 1)]
        density = np.array([each / each.sum() for each in density])
        after = np.clip(odds[:, None] + 2 * heard / self.spread**2, -12, 12)
        weight = (1 - right)[:, None] * density[0] + right[:, None] * density[1]
        value = doors
        for _ in range(60):
            value = np.maximum(doors, -1 + self.discount * (weight * np.interp(after, odds, value)).sum(axis=1))
        return float(value[480])


def test_what_is_heard_as_a_number_is_worth_what_dynamic_programming_says():
    problem = Murmur()
    planner = Planner(problem, simulations=40)
    assert planner.act() == "listen"
    low, high = planner.bounds
    assert low - 0.5 < problem.worth() < high + 0.5
    for heard in (1.1, 2.9, 1.8):
        planner.update("listen", heard)
    assert planner.act() == "left"


class Bat:
    """A moth sits in one of many cells and is heard vaguely; a cry costs something and tells where."""

    discount = 0.95
    n = 24
    actions = ("wait", "cry", *range(n))

    def initial(self, n, rng):
        return np.column_stack([rng.integers(0, self.n, n), np.zeros(n, int)])

    def step(self, states, action, rng):
        moth, over = states[:, 0], states[:, 1] == 1
        cost = {"wait": -1.0, "cry": -3.0}
        caught = np.full(len(states), action not in cost)
        reward = np.full(len(states), cost[action]) if action in cost else np.where(moth == action, 20.0, -20.0)
        spread = 0.3 if action == "cry" else 12.0
        return (
            np.column_stack([moth, over | caught]),
            moth + rng.normal(0, spread, len(states)),
            np.where(over, 0.0, reward),
            over | caught,
        )

    def likelihood(self, heard, states, action):
        spread = 0.3 if action == "cry" else 12.0
        return np.exp(-0.5 * ((heard - states[:, 0]) / spread) ** 2) / spread


def test_a_sense_that_costs_something_is_used_where_it_is_worth_it():
    planner = Planner(Bat(), simulations=40)
    assert planner.act() == "cry"
    planner.update("cry", 17.1)
    assert planner.act() == 17


class BatInThePlane(Bat):
    """The same in a field of nine by nine cells: more to be told than fits into a few groups."""

    side = 9
    n = side**2
    actions = ("wait", "cry", *range(n))

    def heard(self, states, action):
        return np.column_stack(divmod(states[:, 0], self.side)), 0.2 if action == "cry" else 6.0

    def step(self, states, action, rng):
        after, _, reward, over = super().step(states, action, rng)
        at, spread = self.heard(states, action)
        return after, at + rng.normal(0, spread, at.shape), reward, over

    def likelihood(self, heard, states, action):
        at, spread = self.heard(states, action)
        return np.exp(-0.5 * ((heard - at) ** 2).sum(axis=1) / spread**2) / spread**2


@pytest.mark.parametrize("method", ["values", "auto"])
def test_where_there_is_too_much_to_be_told_beliefs_look_ahead_by_simulation(method):
    planner = Planner(BatInThePlane(), simulations=60, method=method)
    assert not planner._values.model.fine
    assert planner.act() == "cry"
    planner.update("cry", np.array([3.1, 7.9]))
    assert planner.act() == 3 * 9 + 8
    low, high = planner.bounds
    assert 19.0 < low <= high + 1e-6


class Landing:
    """A ship in the plane finds its pier in fog; only near the lighthouse does it know where it is."""

    discount = 0.95
    actions = ("land", (0.0, 1.5), (0.0, -1.5), (1.5, 0.0), (-1.5, 0.0))

    def initial(self, n, rng):
        return np.column_stack([rng.normal(0.0, 2.0, (n, 2)), np.zeros(n)])

    def step(self, states, action, rng):
        over = states[:, 2] == 1
        if action == "land":
            at_pier = np.hypot(*states[:, :2].T) < 1.2
            done = np.column_stack([states[:, :2], np.ones(len(states))])
            return (
                done,
                np.zeros((len(states), 2)),
                np.where(over, 0.0, np.where(at_pier, 100.0, -100.0)),
                done[:, 2] > 0,
            )
        after = states.copy()
        after[~over, :2] += np.array(action) + rng.normal(0, 0.1, (np.count_nonzero(~over), 2))
        seen = after[:, :2] + self.fog(after)[:, None] * rng.standard_normal((len(after), 2))
        return after, seen, np.where(over, 0.0, -1.0), over

    def fog(self, states):
        return 0.2 + np.abs(states[:, 0] - 4.0)

    def log_likelihood(self, seen, states, action):
        if action == "land":
            return np.zeros(len(states))
        fog = self.fog(states)
        return -0.5 * ((seen - states[:, :2]) ** 2).sum(axis=-1) / fog**2 - 2 * np.log(fog)

    likelihood = None


def test_a_ship_looks_where_it_is_and_lands_once_it_knows():
    rng = np.random.default_rng(1)
    planner = Planner(Landing(), simulations=20, particles=500, sample=1000)
    assert planner.act() == (1.5, 0.0)  # to the light
    for at, wanted in (((3.2, 0.1), (-1.5, 0.0)), ((0.1, -0.2), "land")):
        planner.belief.states = np.column_stack([rng.normal(at, 0.15, (500, 2)), np.zeros(500)])
        planner.belief.log_weights = np.full(500, -math.log(500))
        assert planner.act() == wanted


def test_the_exact_filter_is_bayes_rule_and_refuses_what_cannot_be_done():
    problem = Dice(5)
    planner = Planner(problem, simulations=1)
    planner.update(1, 0)
    planner.update(2, 1)
    believed = problem.prior
    for action, seen in ((1, 0), (2, 1)):
        believed = (believed @ problem.follows[action]) * problem.told[action][:, seen]
        believed = believed / believed.sum()
    found = dict(zip(planner.belief.states.reshape(-1).tolist(), planner.belief.weights, strict=True))
    assert [found[state] for state in range(problem.n)] == pytest.approx(believed, abs=0.03)
    with pytest.raises(ProblemError, match="not among the actions"):
        planner.update(7, 0)
    with pytest.raises(UnknownNameError, match="method 'tree'"):
        Planner(problem, method="tree")


class Corridor:
    """Somewhere between 0 and 20, with nothing to see: to stop at 3 earns 10, elsewhere costs 10; a step may fail."""

    discount, actions, OVER = 0.9, ("left", "right", "stop"), 99.0

    def initial(self, n, rng):
        return rng.integers(0, 21, n).astype(float)

    def step(self, states, action, rng):
        over = states == self.OVER
        if action == "stop":
            reward = np.where(over, 0.0, np.where(states == 3, 10.0, -10.0))
            return np.full(len(states), self.OVER), np.zeros(len(states)), reward, np.ones(len(states), bool)
        way = (1.0 if action == "right" else -1.0) * (rng.random(len(states)) < 0.9)
        after = np.where(over, states, np.clip(states + way, 0, 20))
        return after, np.zeros(len(states)), np.where(over, 0.0, -1.0), over

    def likelihood(self, observation, states, action):
        return np.ones(len(states))


def corridor():
    """The one kind of states of a corridor, and where each of them is."""
    rng = np.random.default_rng(0)
    simulator = Simulator(Corridor(), rng)
    listed = StateSet(simulator, 100, 100, rng)
    model = ExplicitModel.of(simulator, listed, rng)
    kind = Kinds(model, Values.of(simulator, listed, model, rng))[0]
    assert len(kind.states) == 21
    return kind, listed.states[kind.states]


def earned(start, plan, trials=4000):
    """Mean return of actions in a row."""
    problem, rng = Corridor(), np.random.default_rng(1)
    states, total = np.full(trials, float(start)), np.zeros(trials)
    for t, action in enumerate(plan):
        states, _, reward, _ = problem.step(states, action, rng)
        total += problem.discount**t * reward
    return total.mean()


def test_plans_for_known_states_earn_what_they_say_and_are_never_forgotten():
    kind, where = corridor()
    before = len(kind.plans)
    add_known_plans(kind, 0, 0.9, np.random.default_rng(0))
    best = dict(zip(where, kind.plans.max(axis=0), strict=True))
    assert best[3] == 10.0
    assert best[4] == pytest.approx(max(earned(4, ["left"] * n + ["stop"]) for n in range(6)), abs=0.3)
    assert best[7] == pytest.approx(max(earned(7, ["left"] * n + ["stop"]) for n in range(9)), abs=0.9)
    assert best[0] == pytest.approx(max(earned(0, ["right"] * n + ["stop"]) for n in range(9)), abs=0.9)
    assert best[4] < 7.0 < earned(3, ["stop"])  # it cannot see whether the step failed
    kept = kind.plans.copy()
    assert len(kept) == before + 21
    for i in range(200):
        kind.add(np.full(21, -50.0 - i), 0)
    assert np.array_equal(kind.plans[: len(kept)], kept)
    assert len(kind.plans) < len(kept) + 100
