"""A policy over options that is learned from plans, and the planner that goes on from it."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from boxes import FEELS, PRIOR, Boxes, K, by_hand, everything_tried

from embodied.errors import CheckpointError, OptionError
from embodied.learn.distillation import distill
from embodied.mind.belief import posterior
from embodied.mind.options.lookahead import Knowledge, look, wanted
from embodied.mind.options.outcome_table import OutcomeTable
from embodied.mind.options.planner import OptionPlanner
from embodied.mind.options.problem import ROOT
from embodied.mind.options.search_targets import SearchTargets, search_targets
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_policies.mlp import MlpPolicy
from embodied_policies.option_policy import OptionPolicy, OptionPolicyAgent
from embodied_scripts.bench.planning import show_thinking
from embodied_scripts.cli.distill import Distill
from embodied_scripts.resuming import keep_expert
from embodied_scripts.training.distillation import OUTCOMES, distill_planner, teach
from embodied_scripts.training.initialization import expert_of

ACTIONS = Boxes().actions
CERTAIN = np.array([[0.01, 0.98, 0.01]])


class Knowing:
    """A network that knows what every belief is worth, and would always feel box 1."""

    def __init__(self):
        self.asked = Counter()

    def evaluate(self, history, beliefs):
        self.asked[history] += len(beliefs)
        policy = np.tile(np.where(np.array(ACTIONS) == "feel 1", 0.9, 0.02), (len(beliefs), 1))
        return policy, np.array([by_hand(belief, len(history)) for belief in beliefs])


def plans():
    """What a planner that has tried everything says of beliefs, from hardly any to certain."""
    problem = everything_tried()
    leaning = [
        np.roll([most, (1 - most) / 2, (1 - most) / 2], i) for most in (0.4, 0.6, 0.8, 0.95, 1.0) for i in range(K)
    ]
    for belief in (PRIOR, *leaning):
        ahead = look(Knowledge(problem, OutcomeTable()), ROOT, belief[None], np.ones(1))
        yield from search_targets(ahead, (), ACTIONS)


@pytest.fixture(scope="module")
def targets():
    return list(plans())


@pytest.fixture(scope="module")
def taught(targets):
    network = OptionPolicy.untrained(ACTIONS, K, width=32)
    return network, teach(network, targets, updates=1000)


def test_with_a_network_that_knows_what_beliefs_are_worth_one_look_ahead_is_enough():
    problem = Boxes()
    for action in ACTIONS:
        problem.ask(ROOT, action)
    while problem.advance():
        pass
    alone = look(Knowledge(problem, OutcomeTable()), ROOT, PRIOR[None], np.ones(1))
    network = Knowing()
    ahead = look(Knowledge(problem, OutcomeTable(), network=network), ROOT, PRIOR[None], np.ones(1))
    assert ahead.value[0] == pytest.approx(by_hand(PRIOR), abs=1e-2)
    assert alone.value[0] < by_hand(PRIOR) - 0.02
    assert {"feel 0", "feel 1", "feel 2"} == {
        history[0] for history in network.asked if history and history[0][0] == "f"
    }


def test_where_nothing_has_been_tried_a_network_says_what_to_do_and_what_to_try_first():
    knowledge = Knowledge(Boxes(), OutcomeTable(), network=Knowing())
    ahead = look(knowledge, ROOT, PRIOR[None], np.ones(1))
    assert ACTIONS[ahead.best[0]] == "feel 1"
    assert ahead.value[0] == pytest.approx(by_hand(PRIOR))
    assert np.isinf(ahead.worth).sum() == len(ACTIONS) - 1
    assert wanted(ahead, knowledge)[0] == (ROOT, ACTIONS.index("feel 1"))
    assert OptionPlanner(Boxes(), seconds=1e-9, network=Knowing()).act() == "feel 1"


def test_what_has_been_tried_counts_more_than_what_a_network_would_do():
    planner = OptionPlanner(Boxes(), seconds=0.2, network=Knowing())
    planner._knowledge = Knowledge(everything_tried(), OutcomeTable(), network=Knowing())
    planner._attend(ROOT, CERTAIN, np.ones(1))
    planner.belief = CERTAIN[0]
    assert planner.act() == "open 1"


def test_plans_teach_what_they_have_tried_by_what_was_done_before(targets):
    assert {len(t.history) for t in targets} == set(range(FEELS + 1))
    for t in targets[:20]:
        assert t.value == pytest.approx([by_hand(belief, len(t.history)) for belief in t.beliefs], abs=0.02)
        assert (t.reach >= 0.01).all()
    ahead = look(Knowledge(Boxes(), OutcomeTable(), network=Knowing()), ROOT, PRIOR[None], np.ones(1))
    assert list(search_targets(ahead, (), ACTIONS)) == []  # nothing has been tried


def test_a_network_learns_what_plans_decide_and_what_that_is_worth(taught):
    network, (agreement, error) = taught
    assert agreement > 0.8
    assert error < 0.05
    for belief in (PRIOR, CERTAIN[0]):
        policy, value = network.evaluate((), belief[None])
        assert policy.sum() == pytest.approx(1)
        assert value[0] == pytest.approx(by_hand(belief), abs=0.25)
    assert ACTIONS[network.evaluate((), CERTAIN)[0].argmax()] == "open 1"
    late = network.evaluate(("feel 0",) * FEELS, PRIOR[None])[1][0]
    assert late < network.evaluate((), PRIOR[None])[1][0] - 0.05  # there is no time left to find out


def test_rows_tell_apart_what_was_done_last_from_what_was_done_before():
    network = OptionPolicy.untrained(ACTIONS, K)
    rows = {}
    for history in ((), ("feel 0",), ("feel 1",), ("feel 0", "feel 1"), ("feel 1", "feel 0")):
        rows[history] = network.lessons([SearchTargets(history, PRIOR[None], *np.ones((3, 1)))])[0][0]
        assert np.allclose(rows[history][:K], PRIOR)
    assert len({row.tobytes() for row in rows.values()}) == 5


def test_a_policy_over_options_is_saved_and_acts_alike_and_another_policy_is_refused(taught, tmp_path):
    network, _ = taught
    network.save(tmp_path / "policy")
    again = OptionPolicy.load(tmp_path)
    assert again.options == ACTIONS
    for one, other in zip(network.evaluate(("feel 2",), CERTAIN), again.evaluate(("feel 2",), CERTAIN), strict=True):
        assert np.array_equal(one, other)
    space = network.policy.observation_space
    MlpPolicy(space, network.policy.action_space).save(tmp_path / "other")
    with pytest.raises(CheckpointError, match="no policy over options"):
        OptionPolicy.load(tmp_path / "other")
    with pytest.raises(OptionError, match="6 options of 4 values"):
        OptionPolicy(network.policy, ACTIONS, K + 1)


def test_nothing_is_learned_from_nothing():
    network = OptionPolicy.untrained(ACTIONS, K)
    empty = np.zeros((0, network.policy.codec.size), np.float32)
    with pytest.raises(OptionError, match="think longer"):
        network.lessons([])
    with pytest.raises(OptionError, match="no decisions"):
        distill(network.policy, empty, np.zeros(0, int), np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class Counted:
    option: np.ndarray
    steps: np.ndarray


class Counter10:
    """Acts by the number of its option, and counts how long it has been at it."""

    def __init__(self):
        self.options = dict(zip(ACTIONS, [0.3, 0.3, 0.3, 1e9, 1e9, 1e9], strict=True))

    def initial(self, n, seed):
        return Counted(np.full(n, -1), np.zeros(n, int))

    def set_option(self, carry, which):
        return Counted(np.array(which), np.zeros(len(which), int))

    def act(self, carry, obs, first):
        return replace(carry, steps=carry.steps + 1), np.column_stack([carry.option, carry.steps])


class Told:
    exact, declared, size = True, True, K

    @staticmethod
    def of(obs):
        return obs


class Script:
    """Feels box 0, 1 and 2 in turn, and opens the likeliest once it is sure."""

    def check(self, options, values):
        assert ([*options], values) == (ACTIONS, K)

    def rows(self, beliefs, counts, last):
        return np.hstack([beliefs, counts])

    def read(self, rows):
        beliefs, counts = rows[:, :K], rows[:, K:]
        sure = beliefs.max(axis=1) > 0.9
        option = np.where(sure, K + beliefs.argmax(axis=1), counts[:, :K].sum(axis=1).astype(int) % K)
        return np.eye(2 * K)[option], np.zeros(len(rows))


def test_a_policy_over_options_decides_in_each_world_when_its_option_is_over_there():
    agent = OptionPolicyAgent(Script(), Counter10(), Told(), PRIOR, control_hz=10.0)
    carry, seen = agent.initial(2, 0), []
    told = np.zeros((12, 2, K))
    told[4, 0, 2] = 5.0  # world 0 hears of box 2 with its fifth observation; world 1 begins anew with its third
    told[1, 1, 0] = 50.0  # of the episode before
    told[2, 1, 1] = 0.3  # of the one that begins there
    for t in range(12):
        first = np.array([t == 0, t in (0, 2)])
        carry, action = agent.act(carry, told[t], first)
        seen.append(action)
    options = np.array(seen)[:, :, 0]
    assert options[:, 0].tolist() == [0, 0, 0, 1, 1, 1] + [5] * 6
    assert options[:, 1].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 0]
    assert np.array(seen)[:5, 1, 1].tolist() == [0, 1, 0, 1, 2]
    assert np.allclose(agent.belief(carry), posterior(np.tile(PRIOR, (2, 1)), np.array([[0, 0, 5.0], [0, 0.3, 0]])))


def test_a_policy_over_options_refuses_other_options_and_what_is_no_likelihood():
    other = OptionPolicy.untrained(["feel 0", "open 0"], K)
    with pytest.raises(OptionError, match="other options"):
        OptionPolicyAgent(other, Counter10(), Told(), PRIOR, 10.0)
    vague = Told()
    vague.exact = False
    with pytest.raises(OptionError, match="likelihood"):
        OptionPolicyAgent(OptionPolicy.untrained(ACTIONS, K), Counter10(), vague, PRIOR, 10.0)


def test_the_planner_teaches_a_network_that_acts_is_planned_with_and_is_an_expert(tmp_path, capsys):
    out = tmp_path / "options"
    distill_planner(Distill("Signpost-v0", out, episodes=1, seconds=1.5, updates=50))
    assert "bench think --task Signpost-v0 --network" in capsys.readouterr().out.replace("\n", " ")
    assert OutcomeTable.load(out / OUTCOMES).range > 0
    longest = show_thinking(1, "Signpost-v0", small=True, network=out)
    assert [name.split(", ")[1] for name in longest] == ["planner"] * 2 + ["with network"] * 2 + ["network"]
    keep_expert(tmp_path / "run", str(out))
    env = GymVecEnv(make_vec("embodied/Signpost-v0", 3))
    expert = expert_of(str(tmp_path / "run" / "expert"), env)
    assert isinstance(expert, OptionPolicyAgent)
    carry, action = expert.act(expert.initial(3, 0), env.reset(), np.ones(3, bool))
    assert action.shape == (3, *env.action_space.shape)
    assert np.allclose(expert.belief(carry), 1 / 2, atol=1e-6)
    for wrong, said in (
        (Distill("LightDark-v0", tmp_path / "a"), "LightDark has no discrete hidden variable"),
        (Distill("Heft-v0", tmp_path / "b"), "likelihood"),
        (Distill("Signpost-v0", out), "not empty"),
        (Distill("Signpost-v0", tmp_path / "c", episodes=0), "at least 1"),
    ):
        with pytest.raises(OptionError, match=said):
            distill_planner(wrong)
    for wrong_task, said in (("Search-v0", "other options"), ("LightDark-v0", "no discrete hidden variable")):
        with pytest.raises(OptionError, match=said):
            show_thinking(1, wrong_task, small=True, network=out)
    with pytest.raises(OptionError, match="--task"):
        show_thinking(1, None, small=True, network=out)
    env.close()
