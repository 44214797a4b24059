"""A task becomes a decision problem, and the planner wins what can be found out in it."""

from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from conftest import SIGNPOST

import embodied_envs  # noqa: F401
from embodied.errors import CheckpointError, OptionError, UnknownNameError
from embodied.evaluation.report import evaluate
from embodied.layout import Channel, Layout
from embodied.mind.options.planner import OptionPlanner
from embodied.mind.options.problem import OVER, ROOT
from embodied.mind.planner import Planner
from embodied.vector.vec import GymVecEnv, make_vec, step
from embodied.world.imagination import Imagination
from embodied.world.problem import TaskProblem
from embodied.world.state import per_world
from embodied_policies.controls import FixedGaze, FrozenLooks, blank_of, unmeasured
from embodied_policies.proactive import ProactiveAgent
from embodied_policies.scripted.localize import moved_alike
from embodied_scripts import planning
from embodied_scripts.baselines import baselines, option_agent, planning_agent, pose_filter
from embodied_scripts.studies import hopper


def worlds(n, **options):
    env = gym.make_vec(SIGNPOST, num_envs=n, threads=1, **options)
    env.reset(seed=3)
    return env


def problem(here=None, world=1, samples=2, believed=None, **options):
    here = here or worlds(3, **options)
    imagined = gym.make_vec(SIGNPOST, num_envs=6 * samples, threads=2, **options)
    imagination = Imagination(imagined, option_agent(SIGNPOST, here.task))
    return TaskProblem(imagination, here, world, samples=samples, believed=believed)


def dark(n):
    env = gym.make_vec("embodied/LightDark-v0", num_envs=n, threads=1, autoreset_mode="NextStep")
    env.reset(seed=3)
    return env


def seeker():
    return option_agent("embodied/LightDark-v0", dark(1).task)


def player():
    return option_agent(SIGNPOST, worlds(1).task)


@pytest.fixture(scope="module")
def signpost():
    return problem()


def test_imagining_changes_what_is_hidden_and_what_the_sign_will_show_and_nothing_else():
    env = worlds(2)
    before, obs = env.get_state(), env.last_obs
    truth = env.task.truth()
    env.set_hidden(1 - truth)
    assert np.array_equal(env.task.truth(), 1 - truth)
    assert np.array_equal(env.last_obs, obs)
    now = env.get_state()
    changed = {name for name, value in now.items() if not np.array_equal(value, before[name], equal_nan=True)}
    things = "task/_props/_position"
    assert changed == {"physics", "task/_good", things}
    signs = [int(env.batch.model.body(f"sign_{c}").mocapid[0]) for c in ("red", "blue")]
    assert np.array_equal(np.delete(now[things], signs, axis=1), np.delete(before[things], signs, axis=1))
    moved = (now["physics"] != before["physics"]).any(axis=0).sum()
    assert 0 < moved <= 2 * 3  # numbers of physics: where two boards stand
    env.set_hidden(truth)
    again = env.get_state()
    assert np.array_equal(again["physics"], before["physics"])


def test_imagined_worlds_begin_where_the_real_one_stands_and_their_noise_is_their_own():
    here = worlds(3)
    action = np.tile([0.5, -0.2, 0.0], (3, 1))
    for _ in range(5):
        here.step(action)
    one = problem(here, world=2)
    begun = one._nodes[ROOT].state
    assert np.array_equal(begun["_obs"], np.tile(here.last_obs[2], (2, 1)))
    assert np.array_equal(one._nodes[ROOT].state["_elapsed_s"], [0.5, 0.5])
    imagination = one._imagination
    one.ask(ROOT, "look")
    one.advance()
    lanes = np.flatnonzero(imagination._cell[:, 0] >= 0)
    ranges = here.task.robot.layout.slice("camera/range")
    imagined = imagination.env.last_obs[lanes, ranges]
    assert len({tuple(row) for row in imagined}) == len(imagined) == 4
    turned = here.step(np.tile([-0.4, 0.4, 0.0], (3, 1)))[0]  # as who looks for the sign does
    assert not any(np.array_equal(row, turned[2, ranges]) for row in imagined)
    position = imagination.env.batch.array("qpos")[lanes, :2]
    assert np.allclose(position, here.batch.array("qpos")[2, :2], atol=0.03)


def test_what_an_option_leads_to_does_not_depend_on_what_else_is_tried_beside_it():
    alone, among = problem(samples=2), problem(samples=2)
    expected = alone.outcome(ROOT, "go to red")
    for name in ("look", "go to blue", "go to red"):
        among.ask(ROOT, name)
    outcome = among.outcome(ROOT, "go to red")
    assert np.array_equal(outcome.seen, expected.seen)
    assert np.array_equal(outcome.reward, expected.reward)
    assert np.array_equal(outcome.seconds, expected.seconds)
    assert (expected.seconds > 1.5).all()
    assert expected.over.all()
    assert expected.after == OVER


def test_plays_wait_for_worlds_and_are_given_up_when_nobody_asks_any_more():
    one = problem(samples=5)  # 10 worlds for each play, of 30
    for name in one.actions:
        assert one.ask(ROOT, name)
        assert not one.ask(ROOT, name)
    one.advance()
    assert not one.vacant
    one.stop()
    assert one.vacant
    assert not one.advance()
    assert one.known(ROOT, "look") is None
    assert one.outcome(ROOT, "look").reward.shape == (2, 5)


def test_a_skill_leads_where_it_leads_and_what_is_hidden_decides_what_it_earns(signpost):
    rng = np.random.default_rng(0)
    states = signpost.initial(200, rng)
    assert states[:, 1].mean() == pytest.approx(0.5, abs=0.1)
    after, _, reward, done = signpost.step(states, "go to red", rng)
    assert done.all()
    assert (after[:, 0] == OVER).all()
    assert (reward[states[:, 1] == 0] > 0.9).all()
    assert (reward[states[:, 1] == 1] < -0.4).all()
    again = signpost.step(after, "look", rng)
    assert np.array_equal(again[0], after)
    assert not again[2].any()
    assert again[3].all()


def test_evidence_comes_when_the_sign_is_near_and_speaks_for_the_truth(signpost):
    rng = np.random.default_rng(0)
    states, shares = signpost.initial(64, rng), []
    for _ in range(6):
        states, evidence, _, done = signpost.step(states, "look", rng)
        assert not done.any()
        likelihood = signpost.likelihood(evidence, states, "look")
        assert likelihood.shape == (64,)
        shares.append(np.mean(likelihood == 1.0))
    assert shares[0] == 1.0  # far from the sign, every value explains what is seen
    own = evidence[np.arange(64), states[:, 1]]
    assert (own > evidence[np.arange(64), 1 - states[:, 1]]).all()


def test_particles_that_stand_in_the_same_place_share_what_is_simulated(signpost):
    rng = np.random.default_rng(0)
    signpost.step(signpost.initial(10, rng), "look", rng)
    simulated = signpost.simulated_s
    assert simulated > 0
    signpost.step(signpost.initial(5000, rng), "look", rng)
    assert signpost.simulated_s == simulated


def test_the_planner_looks_before_it_goes_and_goes_where_the_sign_says():
    for color, told in (("red", [0.0, -20.0]), ("blue", [-20.0, 0.0])):
        planner = OptionPlanner(problem(samples=1), seconds=60.0)
        assert planner.act() == "look"
        planner.update("look", np.array(told))
        assert planner.act() == f"go to {color}"


def test_the_planner_of_any_problem_plans_with_options_too(signpost):
    planner = Planner(signpost, simulations=64, particles=32)
    assert planner.act() == "look"


def test_the_proactive_agent_finds_out_and_commits():
    env = GymVecEnv(make_vec(SIGNPOST, 2, threads=2))
    agent = planning_agent(env, seconds=0.05, samples=2)
    report = evaluate(agent, env, 2)
    assert report.success == 1.0
    assert report.information_bits > 0.9
    assert report.belief_bits > 0.9
    assert report.lead_s > 0
    assert len(agent.effort.decided_s) >= 2 * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TaskProblem(Imagination(worlds(1), player()), worlds(3)), "at least as many as values"),
        (lambda: TaskProblem(Imagination(worlds(6), player()), worlds(6)), "beside 6 real ones"),
        (lambda: Imagination(worlds(6, autoreset_mode="SameStep"), player()), "NextStep"),
        (lambda: OptionPlanner(problem(), seconds=0.0), "above 0"),
        (lambda: worlds(2).set_hidden(np.zeros((3, 1))), "shape"),
        (lambda: hopper.make_vec(2).set_hidden(np.zeros((2, 0))), "cannot imagine"),
        (lambda: problem(believed=np.array([0.5, 0.6])), "probabilities of 2 values"),
        (lambda: TaskProblem(Imagination(dark(4), seeker()), dark(3)), "no discrete hidden variable"),
        (
            lambda: TaskProblem(Imagination(dark(4), seeker()), dark(3), hypotheses=np.zeros(3)),
            r"\(K, k\), not \(3,\)",
        ),
        (lambda: dark(2).evidence(np.zeros((2, 99))), "no likelihood"),
    ],
)
def test_what_cannot_be_imagined_is_named(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_with_its_channel_cut_a_player_that_reads_is_no_better_than_a_blind_one_and_one_look_goes_a_long_way():
    env = GymVecEnv(make_vec(SIGNPOST, 32, threads=2))
    heuristic = baselines(env)["heuristic"]
    blank = blank_of(env.gym_env.task)
    cut = evaluate(FrozenLooks(heuristic, blank, 0), env, 32)
    assert cut.success < 0.1  # it never comes to know, and looks on
    assert cut.information_bits == 0.0  # of what it was shown
    whole, endless = evaluate(heuristic, env, 32), evaluate(FrozenLooks(heuristic, blank, 1000), env, 32)
    assert endless.success == whole.success > 0.95
    assert evaluate(FixedGaze(heuristic, 2, 1.0), env, 32).success < whole.success


def test_where_nothing_is_read_the_channel_is_all_that_is_seen_ranged_and_felt():
    env = gym.make_vec("embodied/LightDark-v0", num_envs=2)
    obs, layout = env.reset(seed=0)[0], env.task.robot.layout
    blank = blank_of(env.task)(obs)
    assert not blank[:, layout.slice("eye/class")].any()
    assert not blank[:, layout.slice("ring/valid")].any()
    assert (blank[:, layout.slice("ring/range")] == layout.high[layout.slice("ring/range")]).all()
    assert np.array_equal(blank[:, layout.slice("gyro")], obs[:, layout.slice("gyro")])
    with pytest.raises(UnknownNameError, match="channel of information"):
        unmeasured(Layout((Channel("gyro", 1, -1.0, 1.0, "rad/s"),)))


def test_states_whose_first_axis_is_not_worlds_are_refused_rather_than_confused():
    one, other = {"a": np.zeros((2, 5))}, {"a": np.zeros((3, 5))}
    assert per_world(one, other) == ("a",)
    with pytest.raises(CheckpointError, match="b does not differ by world"):
        per_world(one | {"b": np.zeros((4, 2))}, other | {"b": np.zeros((4, 3))})
    with pytest.raises(CheckpointError, match="c differ"):
        per_world(one | {"c": np.zeros(2)}, other)


def test_what_is_read_is_taken_out_and_all_else_stays():
    env = GymVecEnv(make_vec(SIGNPOST, 8, threads=1))
    task, heuristic = env.gym_env.task, baselines(env)["heuristic"]
    view, classes = task.robot.layout.slice("camera/class"), task.robot.line_cameras[0].classes
    colors = [classes.index(f"sign says {color}") for color in ("red", "blue")]
    obs, first, read = env.reset(), np.ones(8, bool), 0
    carry = heuristic.initial(8, 0)
    for _ in range(40):
        carry, action = heuristic.act(carry, obs, first)
        obs, _, first, _ = env.step(action)
        blank = blank_of(task)(obs)
        pixels = blank[:, view].reshape(8, -1, len(classes))
        read += obs[:, view].reshape(8, -1, len(classes))[..., colors].sum()
        assert not pixels[..., colors].any()
        assert (pixels.sum(axis=2) == obs[:, view].reshape(8, -1, len(classes)).sum(axis=2)).all()
        rest = np.delete(obs, np.r_[view], axis=1)
        assert np.array_equal(np.delete(blank, np.r_[view], axis=1), rest)
    assert read > 50


def test_in_search_what_pixels_read_speaks_for_the_true_place_and_never_before_anything_is_read():
    env = GymVecEnv(make_vec("embodied/Search-v0", 16, threads=2))
    heuristic, task = baselines(env)["heuristic"], env.gym_env.task
    obs, first, evidence = env.reset(), np.ones(16, bool), np.zeros((16, 3))
    truth, going, carry = task.truth()[:, 0].astype(int), np.ones(16, bool), heuristic.initial(16, 0)
    for t in range(110):
        carry, action = heuristic.act(carry, obs, first)
        action[:, 3] = -1.0  # it says nothing, so that no episode ends
        obs, _, first, _ = env.step(action)
        evidence += env.gym_env.evidence(obs)
        assert t > 5 or not evidence.any()
        going &= ~first
    assert going.all()
    assert np.array_equal(evidence.argmax(axis=1), truth)
    second = np.sort(evidence, axis=1)[:, -2]
    assert (evidence.max(axis=1) - second).min() > np.log(19)  # surer than 95 %


def test_imagined_things_of_search_change_places_and_the_evidence_of_pixels_does_not():
    env = gym.make_vec("embodied/Search-v0", num_envs=3, threads=1)
    env.reset(seed=0)
    positions = env.batch.array("mocap_pos").copy()
    screens = [i for i in range(env.batch.model.nbody) if env.batch.model.body(i).name.startswith("screen")]
    mocap = env.batch.model.body_mocapid
    for place in range(3):
        env.set_hidden(np.full((3, 1), place))
        target = env.batch.array("mocap_pos")[:, mocap[env.batch.model.body("target").id], :2]
        assert np.allclose(target, env.task._at[:, place])
        things = np.sort(env.batch.array("mocap_pos")[..., 0], axis=1)
        assert np.allclose(things, np.sort(positions[..., 0], axis=1))
        assert np.array_equal(env.batch.array("mocap_pos")[:, mocap[screens]], positions[:, mocap[screens]])


@pytest.mark.parametrize("right", [True, False])
def test_a_directed_seeker_declares_the_place_that_it_is_sent_to(right):
    env = make_vec("embodied/Search-v0", 8, threads=2)
    agent = option_agent("embodied/Search-v0", env.task)
    obs, info = env.reset(seed=5)
    place = (info["hidden"][:, 0].astype(int) + (not right)) % 3
    carry, success, going = agent.initial(8, 0), np.zeros(8, bool), np.ones(8, bool)
    for t in range(190):
        if t == 30:  # after looking for a while
            carry = agent.set_option(carry, 1 + place)
        carry, action = agent.act(carry, obs, np.zeros(8, bool))
        obs, _, terminated, truncated, info = env.step(action)
        ended = (terminated | truncated) & going
        success[ended] = info.get("final_info", info)["success"][ended]
        going &= ~ended
        if not going.any():
            break
    assert success.mean() == float(right)


def test_a_robot_that_is_imagined_elsewhere_goes_on_as_it_was():
    env, same = dark(3), dark(3)
    action = np.tile([0.8, 0.4, 0.0], (3, 1))
    for one in (env, same):
        for _ in range(6):
            one.step(action)
    places = np.array([[0.9, 0.1, 3.0], [-1.2, -0.5, 2.2], [1.2, 0.7, 4.1]])
    start = same.task.truth()
    env.set_hidden(places)
    assert np.allclose(env.task.truth(), places)
    seen, expected = (one.step(action)[0] for one in (env, same))
    sensed = env.task.robot.layout.slice("gyro").start
    assert np.allclose(seen[:, sensed:], expected[:, sensed:], atol=0.02)  # wheels, gyro and currents do not notice
    assert np.allclose(env.task.truth(), moved_alike(same.task.truth(), start, places), atol=1e-3)


def test_frames_on_their_way_are_taken_from_where_the_robot_is_imagined():
    env = dark(2)
    valid, still = env.task.robot.layout.slice("ring/valid"), np.zeros((2, 3))
    in_light, in_dark = np.tile([-1.4, 0.0, 3.1], (2, 1)), np.tile([1.0, 0.0, 3.1], (2, 1))
    env.set_hidden(in_light)
    for _ in range(3):
        obs = env.step(still)[0]
    assert (obs[:, valid].mean(axis=1) > 0.8).all()
    env.set_hidden(in_dark)
    assert (env.step(still)[0][:, valid].mean(axis=1) < 0.2).all()


def test_worlds_that_an_adversary_sets_can_be_planned_in():
    real = gym.make_vec(SIGNPOST, num_envs=3, threads=1, adversary=1.0)
    real.reset(seed=3)
    assert problem(real).outcome(ROOT, "look").evidence.shape == (2, 2, 2)


def test_plans_can_be_made_from_what_a_filter_believes_about_a_continuous_variable():
    real = dark(1)
    poses = np.array([[-0.7, 0.4, 3.1], [1.2, -0.4, 3.2]])
    tracker, imagined = pose_filter(real.task), dark(8)

    def evidence(obs, lanes, value):
        pose = imagined.task.truth()[lanes, None]
        return tracker.evidence(moved_alike(pose, poses[value][:, None], poses[None]), obs)

    one = TaskProblem(Imagination(imagined, seeker()), real, hypotheses=poses, evidence=evidence)
    assert one.actions == ["seek light", "stop on goal"]
    outcome = one.outcome(ROOT, "seek light")
    in_light, in_dark = outcome.evidence[0], outcome.evidence[1]
    assert (in_light[:, 0] > in_light[:, 1] + 50).all()  # walls are seen where they should be
    assert (in_dark[:, 1] > in_dark[:, 0] + 5).all()  # that nothing is seen tells something, too
    assert not outcome.over.any()
    assert one.left_s(ROOT) == pytest.approx(20.0)
    assert one.left_s(outcome.after) == pytest.approx(18.0)
    assert np.allclose(outcome.seconds, 2.0)
    assert one.outcome(ROOT, "stop on goal").over.all()


def test_where_its_own_pose_is_hidden_the_planner_seeks_the_light_first(monkeypatch):
    monkeypatch.setattr(planning, "POSES", 6)
    env = GymVecEnv(make_vec("embodied/LightDark-v0", 1, threads=2))
    agent, set_out = planning_agent(env, seconds=1.0), []
    env.seed(10_000)
    obs, first, carry = env.reset(), np.ones(1, bool), agent.initial(1, 0)
    spread = []
    while not set_out or set_out[-1] != "stop on goal":
        carry, action = agent.act(carry, obs, first)
        set_out.append(carry.doing[0].option)
        spread.append(carry.belief.pose[0, :, :2].std(axis=0).max())
        experience, _ = step(env, action)
        obs, first = experience.obs, experience.ended
        assert not experience.ended.any()
    assert set(set_out[:20]) == {"seek light"}
    assert spread[0] > 0.3 > 0.05 > spread[-1]  # it leaves the light when it knows where it is


@pytest.fixture(scope="module")
def weigh():
    here, imagined = (gym.make_vec("embodied/Weigh-v0", num_envs=n, threads=2) for n in (1, 18))
    here.reset(seed=3)
    return TaskProblem(Imagination(imagined, option_agent("embodied/Weigh-v0", here.task)), here)


def test_imagined_boxes_of_weigh_change_their_masses_and_nothing_else():
    env = gym.make_vec("embodied/Weigh-v0", num_envs=3)
    env.reset(seed=0)
    task, truth = env.task, env.task.truth()
    physics, masses = env.get_state()["physics"], np.array(task._mass[:, task._bodies])
    env.set_hidden(truth)
    assert np.array_equal(task._mass[:, task._bodies], masses)
    env.set_hidden((truth + 1) % 3)
    now = np.array(task._mass[:, task._bodies])
    assert np.array_equal(now.argmax(axis=1), (truth[:, 0] + 1) % 3)
    assert np.array_equal(np.sort(now, axis=1), np.sort(masses, axis=1))
    assert np.array_equal(env.get_state()["physics"], physics)
    env.set_hidden(truth)
    assert np.array_equal(task._mass[:, task._bodies], masses)


def test_what_motors_take_tells_how_heavy_the_box_is_that_is_felt_and_nothing_of_the_others(weigh):
    for box in range(3):
        course = weigh.outcome(0, f"feel box {box}")
        evidence = course.evidence[:, 0, box]
        assert evidence[box] > 1.0
        assert (np.delete(evidence, box) < -0.5).all()
        assert not np.delete(course.evidence, box, axis=2).any()
        assert not course.over.any()


def test_what_is_felt_in_a_world_does_not_depend_on_whether_others_begin_anew():
    def felt(others_begin):
        env = gym.make_vec("embodied/Weigh-v0", num_envs=2, threads=1)
        env.reset(seed=3)
        player, first = option_agent("embodied/Weigh-v0", env.task), np.ones(2, bool)
        carry, obs, evidence = player.set_option(player.initial(2, 0), np.array([1, 1])), env.last_obs, np.zeros(3)
        for _ in range(50):
            carry, action = player.act(carry, obs, first)
            obs, first = env.step(action)[0], np.zeros(2, bool)
            evidence += env.evidence(obs)[0]
            if others_begin:
                obs, _ = env.reset(options={"reset_mask": np.array([False, True])})
        return evidence

    assert np.abs(felt(False)).max() > 1.0
    assert np.array_equal(felt(True), felt(False))


def test_pushing_the_heaviest_box_over_the_line_wins_and_another_loses(weigh):
    course = weigh.outcome(0, "push box 1")
    assert course.over.all()
    assert course.reward[1, 0] > 0.9
    assert course.reward[[0, 2], 0].max() < -0.4


def test_in_weigh_the_planner_feels_boxes_before_it_pushes_one(weigh):
    planner = OptionPlanner(weigh, seconds=3.0)
    first = planner.act()
    assert first.startswith("feel box")
    box = int(first[-1])
    evidence = np.zeros(3)
    evidence[box] = 8.0
    planner.update(first, evidence)
    assert planner.act() == f"push box {box}"


class Forgetful:
    """A problem in which nothing is known of what follows an option."""

    def __init__(self, begun, believed):
        begun.append(believed)
        self.actions, self.prior = ["look"], np.array([0.5, 0.5]) if believed is None else believed
        self.vacant = self.exact = True

    def known(self, node, action):
        return None

    def ask(self, node, action):
        return False

    def advance(self):
        return False

    def stop(self):
        pass

    def left_s(self, node):
        return 9.0


def test_where_nothing_is_known_of_what_follows_the_agent_plans_anew_with_what_it_believes():
    real, begun = worlds(1), []
    source = SimpleNamespace(of=lambda obs: np.tile([0.1, 0.0], (len(obs), 1)), size=2, exact=True, declared=True)
    agent = ProactiveAgent(
        lambda world, believed, carry: Forgetful(begun, believed),
        player(), source, real.task.control_hz, SimpleNamespace(simulated_s=0.0), seconds=0.02,
    )  # fmt: skip
    carry, first = agent.initial(1, 0), np.ones(1, bool)
    obs = real.last_obs
    for _ in range(25):
        carry, action = agent.act(carry, obs, first)
        obs, first = real.step(action)[0], np.zeros(1, bool)
    assert begun[0] is None
    assert len(begun) == 3
    assert begun[1][0] == pytest.approx(1 / (1 + np.exp(-1.0)), abs=0.03)  # ten decisions of evidence
    assert begun[2][0] == pytest.approx(1 / (1 + np.exp(-2.0)), abs=0.03)
