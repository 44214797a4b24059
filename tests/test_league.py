"""A league: games, opponents, members on disk, and what is said of them."""

import multiprocessing
import os
import signal
import sys
import time
import types
import warnings
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from conftest import QUICK
from gymnasium import spaces
from pettingzoo import ParallelEnv

import embodied_envs  # noqa: F401
from embodied.errors import CheckpointError, NotZeroSumWarning, OptionError, UnknownNameError
from embodied.evaluation.agents import RandomAgent
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import load_json, save_json
from embodied.nn.config import NetworkConfig
from embodied.nn.policy import load_policy
from embodied.selfplay.agents import Mixture, SeatedPair
from embodied.selfplay.arena import Arena
from embodied.selfplay.config import LeagueConfig
from embodied.selfplay.equilibrium import cycles, cyclic_share, exploitability, nash_mixture
from embodied.selfplay.games import DuelGames, PettingZooGames
from embodied.selfplay.league import League, block_sizes
from embodied.selfplay.payoffs import Payoffs
from embodied.selfplay.population import CorruptMemberWarning, Population
from embodied.selfplay.tournament import Table, interval, play, tournament
from embodied.world.duel import Duel
from embodied_envs.sumo import Sumo, SumoOptions
from embodied_policies import GRUPolicy, MlpPolicy, TransformerPolicy
from embodied_policies.controls import Forgetful
from embodied_scripts.cli.league import ExploitLeague, ShowLeague, TrainLeague
from embodied_scripts.cli.study_league_evaluation import EvaluateLeague
from embodied_scripts.cli.study_seeking import SeekLeague
from embodied_scripts.cli.train import MANY_WORLDS
from embodied_scripts.leagues import games_of
from embodied_scripts.studies.evaluate_league import _play as games_against
from embodied_scripts.studies.evaluate_league import measured
from embodied_scripts.studies.table_games import (
    BIASED,
    BiasedRockPaperScissors,
    KuhnPoker,
    kuhn_exploitability,
    kuhn_value,
)

SMALL = {"ppo": QUICK, "n_steps": 8, "minibatches": 4, "policy_kwargs": {"layers": 1, "width": 16}}


class Always:
    """Plays one choice and notes when it was asked."""

    def __init__(self, choice: int) -> None:
        self.choice = choice

    def initial(self, n: int, seed: int) -> None:
        self.n = n

    def act(self, carry, obs, first):
        return None, np.full(len(obs), self.choice)


def rock_paper_scissors(n: int) -> PettingZooGames:
    return PettingZooGames(BiasedRockPaperScissors, n)


def throws(policy) -> list[np.ndarray]:
    """The probabilities of rock, paper and scissors in either seat."""
    rows = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    with torch.no_grad():
        reading, _ = policy.step(rows, torch.ones(2, dtype=torch.bool), policy.initial(2))
    return list(reading.actions.base_dist.probs[:, 0].double().numpy())


def test_the_equilibrium_of_biased_rock_paper_scissors_is_the_one_in_the_books():
    mixture = nash_mixture(BIASED)
    np.testing.assert_allclose(mixture, [0.25, 0.5, 0.25], atol=1e-9)
    assert exploitability(BIASED, mixture, mixture) == pytest.approx(0, abs=1e-9)
    assert exploitability(BIASED, np.eye(3)[0], np.eye(3)[0]) == pytest.approx(1.0)


def test_a_rated_table_has_no_circle_and_rock_paper_scissors_is_nothing_else():
    rating = np.array([0.0, 1.0, 3.0])
    assert cyclic_share(rating[:, None] - rating) == pytest.approx(0)
    circle = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    assert cyclic_share(circle) == pytest.approx(1)
    assert cycles(circle > 0) == [(0, 2, 1)]


def test_in_kuhn_poker_the_known_equilibrium_cannot_be_exploited_and_loses_one_eighteenth():
    first = lambda card, history: [[1 / 3, 0, 1][card], [0, 2 / 3, 1][card]][history != ()]  # noqa: E731
    second = lambda card, history: [[1 / 3, 0, 1][card], [0, 1 / 3, 1][card]][history == (1,)]  # noqa: E731
    assert kuhn_value(first, second) == pytest.approx(-1 / 18)
    assert kuhn_exploitability(([first], [second]), np.ones(1)) == pytest.approx(0, abs=1e-9)
    timid = lambda card, history: 0.0  # noqa: E731
    assert kuhn_exploitability(([timid], [timid]), np.ones(1)) > 0.5


def test_wilsons_interval_is_the_one_of_the_textbook():
    assert interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert interval(0, 0) == (0.0, 1.0)


def test_the_learner_sits_in_both_seats_and_wins_what_the_game_says():
    arena = Arena(rock_paper_scissors(8), (4, 4))
    arena.seat(0, Always(2), 0)
    arena.seat(1, Always(1), 0)
    obs, _ = arena.reset(seed=0)
    assert obs[:, 1:].tolist() == [[1, 0], [0, 1]] * 4
    _, reward, terminated, _, _ = arena.step(np.zeros(8, int))  # rock
    assert reward.tolist() == [1.0] * 4 + [-0.5] * 4
    assert terminated.all()
    assert [result.score for result in arena.take_results()] == [1.0] * 4 + [0.0] * 4


def test_in_a_game_of_turns_the_learner_sees_only_its_own():
    arena = Arena(PettingZooGames(KuhnPoker, 6), (6,))
    arena.seat(0, Always(1), 0)
    obs, _ = arena.reset(seed=3)
    assert (obs[:, :3].sum(axis=1) == 1).all()
    assert obs[0, 3:7].sum() == 0
    assert obs[1, 4] == 1
    _, reward, terminated, _, _ = arena.step(np.zeros(6, int))  # in the first seat a check, in the second a fold
    assert terminated.tolist() == [False, True] * 3
    assert reward.tolist() == [0, -1] * 3
    obs, _ = arena.reset(options={"reset_mask": terminated})
    assert obs[0, 3] == 1
    assert obs[0, 6] == 1


class WithoutScissors(BiasedRockPaperScissors):
    """The infos say that scissors are forbidden, and a step insists on it."""

    def reset(self, seed=None, options=None):
        views, _ = super().reset(seed)
        return views, self._each({"action_mask": np.array([1, 1, 0], np.int8)})

    def step(self, actions):
        assert 2 not in [int(action) for action in actions.values()]
        return super().step(actions)


def test_forbidden_choices_are_never_taken_by_anyone(tmp_path):
    games = PettingZooGames(WithoutScissors, 16)
    league = League(games, MlpPolicy, tmp_path, None, _short(2), **SMALL)
    league.learn(600)
    play(games, NetworkAgent(league.learner.policy, deterministic=False), [RandomAgent(games.action_space)], 1, 0)


def test_a_game_of_pettingzoo_with_masks_in_its_observations_is_played_unchanged():
    tictactoe = pytest.importorskip("pettingzoo.classic.tictactoe_v3")
    games = PettingZooGames(tictactoe.env, 8)
    random = RandomAgent(games.action_space)
    scores, payoffs = play(games, random, [RandomAgent(games.action_space)], 1, 0)
    assert scores.shape == (1, 16)  # an illegal move would have ended a game with an error
    assert set(np.unique(payoffs)) <= {-1.0, 0.0, 1.0}


def test_an_opponent_that_waits_for_its_turn_remembers_only_its_turns():
    games = PettingZooGames(KuhnPoker, 4)
    space = Arena(games, (4,)).single_observation_space
    torch.manual_seed(0)
    for cls in (TransformerPolicy, GRUPolicy):
        policy = cls(space, games.action_space, layers=1, width=16).eval()
        agent = NetworkAgent(policy)
        whole, part = agent.initial(2, 0), agent.initial(4, 0)
        rows = np.random.default_rng(0).random((3, 2, space.shape[0])).astype(np.float32)
        index = torch.tensor([1, 3])
        for t, row in enumerate(rows):
            whole, _ = agent.act(whole, row, np.full(2, t == 0))
            seen = np.zeros((4, space.shape[0]), np.float32)
            seen[[1, 3]] = row
            part, _ = agent.act_in(part, seen, np.full(4, t == 0), np.array([False, True, False, True]))
        memories = policy.memories
        for name, tensor in memories.tensors(memories.rows(part.memory, index)).items():
            torch.testing.assert_close(tensor, memories.tensors(whole.memory)[name])


def test_a_mixture_draws_one_of_its_players_for_each_game():
    mixture = Mixture([Always(0), Always(2)], np.array([1.0, 3.0]))
    carry = mixture.initial(400, 0)
    everyone, none = np.ones(400, bool), np.zeros(400, bool)
    carry, sampled = mixture.act(carry, np.zeros((400, 1)), everyone)
    assert 0.68 < (sampled == 2).mean() < 0.82
    _, again = mixture.act(carry, np.zeros((400, 1)), none)
    np.testing.assert_array_equal(sampled, again)


def test_a_table_tells_pay_offs_from_both_seats_and_who_plays_how_often():
    table = tournament(rock_paper_scissors(12), {"r": Always(0), "p": Always(1), "s": Always(2)})
    np.testing.assert_allclose(table.payoff, BIASED)
    np.testing.assert_allclose(table.nash, [0.25, 0.5, 0.25], atol=1e-9)
    assert table.cycles
    assert table.cyclic_share > 0.7


def test_ratings_rise_with_strength():
    score = np.array([[0.5, 0.4, 0.2], [0.6, 0.5, 0.3], [0.8, 0.7, 0.5]])
    same = np.full((3, 3), 100.0)
    ratings = Table(("weak", "fair", "good"), score, score, score, same, score - 0.5).ratings()
    assert ratings["weak"][0] + 1 < ratings["fair"][0] < ratings["good"][0] - 1


def test_equal_players_are_rated_alike_and_names_do_not_matter():
    half, many = np.full((6, 6), 0.5), np.full((6, 6), 200.0)
    equal = Table(tuple("abcdef"), half, half, half, many, half - 0.5).ratings()
    values = np.array([mu for mu, _ in equal.values()])
    assert np.ptp(values) < 1.5
    score = np.array([[0.5, 0.6], [0.4, 0.5]])
    for names, stronger in ((("old", "new"), "old"), (("new", "old"), "new")):
        rated = Table(names, score, score, score, np.full((2, 2), 400.0), score - 0.5).ratings()
        assert max(rated, key=lambda name: rated[name][0]) == stronger
    few = Table(names, score, score, score, np.full((2, 2), 4.0), score - 0.5).ratings()
    assert few["old"][1] > rated["old"][1]


def test_who_always_wins_from_the_first_seat_is_judged_to_do_so(tmp_path):
    league = League(PettingZooGames(Patience, 32), MlpPolicy, tmp_path, **SMALL)
    scores, seats = games_against(EvaluateLeague(tmp_path, games=50), league, RandomAgent(league.games.action_space))
    said = measured(scores, seats)
    assert (said["games"], said["score"], said["seats"]) == (64, 0.5, [1.0, 0.0])


def test_a_judged_score_is_told_by_seat():
    said = measured(np.array([1.0, 1.0, 0.5, 0.0]), np.array([0, 0, 1, 1]))
    assert (said["score"], said["seats"], said["draws"]) == (0.625, [1.0, 0.25], 0.25)
    assert (said["low"], said["high"]) == interval(2.5, 4)


def test_from_the_command_line_a_league_is_trained_shown_and_exploited(tmp_path, monkeypatch, capsys):
    name, folder = "embodied_rps_for_test", tmp_path / "run"
    module = types.ModuleType(f"{name}.game")
    module.parallel_env = BiasedRockPaperScissors
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, f"{name}.game", module)
    settings = {
        "n_envs": 16,
        "network": NetworkConfig("MlpPolicy", 1, 16),
        "ppo": replace(MANY_WORLDS, n_steps=8),
        "league": LeagueConfig(concurrent_opponents=2, checkpoints=2),
    }
    TrainLeague(f"{name}.game", steps=600, run_dir=folder, threads=1, **settings).run()
    TrainLeague(f"{name}.game", steps=900, run_dir=folder, threads=1, resume=True).run()
    with pytest.raises(CheckpointError, match="already holds a run"):
        TrainLeague(f"{name}.game", run_dir=folder).run()
    ShowLeague(folder, json=tmp_path / "table.json").run()
    said = capsys.readouterr().out
    assert "rating" in said
    assert (folder / "table.png").stat().st_size > 1000
    assert "random" in load_json(tmp_path / "table.json")["names"]
    EvaluateLeague(folder, games=20, json=tmp_path / "judged.json").run()
    judged = load_json(tmp_path / "judged.json")
    assert "most likely" in capsys.readouterr().out
    assert len(judged) == 2
    assert judged["random"]["games"] >= 20
    with pytest.raises(OptionError, match="share"):
        EvaluateLeague(folder, share=2.0).run()
    ExploitLeague(folder, target="average", steps=300, join=True).run()
    assert "exploiter" in capsys.readouterr().out
    with pytest.raises(UnknownNameError, match="average"):
        ExploitLeague(folder, target="averag", steps=300).run()


def test_blocks_are_even_and_use_all_games():
    assert block_sizes(128, LeagueConfig(concurrent_opponents=8, latest=0.25)) == (32, *[12] * 8)
    assert sum(block_sizes(64, LeagueConfig(concurrent_opponents=3, latest=0.0))) == 64
    with pytest.raises(OptionError, match="too few"):
        block_sizes(8, LeagueConfig(concurrent_opponents=8))


def test_a_league_mixes_where_playing_against_oneself_chases_its_tail(tmp_path):
    torch.manual_seed(0)
    options = LeagueConfig(
        concurrent_opponents=8,
        latest=0.0,
        anchors=0.0,
        uniform=1.0,
        checkpoints=16,
        population_size=40,
        resample_interval=4,
    )
    settings = SMALL | {"learning_rate": 1e-2, "ent_coef": 0.1, "gamma": 1.0}
    league = League(rock_paper_scissors(64), MlpPolicy, tmp_path, None, options, **settings)
    league.learn(24_000)
    table = league.table(rounds=2, most=16)
    weights = np.array([w for n, w in zip(table.names, table.nash, strict=True) if n != "random"])
    members = [throws(league.population.policy(name)) for name in table.names if name != "random"]
    averaged = [weights @ np.array([member[seat] for member in members]) / weights.sum() for seat in (0, 1)]
    newest = throws(league.learner.policy)
    assert exploitability(BIASED, *averaged) < 0.3  # the worst is 2
    assert exploitability(BIASED, *newest) > 0.8


def test_members_outlive_the_process_and_what_was_half_written_is_gone(tmp_path):
    league = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, _short(2), **SMALL)
    league.learn(2_000)
    population = league.population
    assert population.made >= 2
    assert set(population.with_weights) == {p.name for p in (tmp_path / "population" / "members").iterdir()}
    (tmp_path / "population" / "members" / "snapshot-9999").mkdir()
    (tmp_path / "population" / "members" / ".snapshot-9998.part").mkdir()
    again = Population(tmp_path / "population")
    assert again.members == population.members
    assert again.scores == population.scores
    assert again.made == population.made
    assert set(again.with_weights) == {p.name for p in (tmp_path / "population" / "members").iterdir()}


def test_a_full_pool_drops_the_crowded_and_keeps_both_ends(tmp_path):
    league = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, _short(2), **SMALL)
    population = Population(tmp_path / "small", size=3)
    for step in (0, 100, 110, 500, 1000):
        population.add(league.learner.policy, "snapshot", step)
    assert [population.members[name].step for name in population.with_weights] == [0, 500, 1000]
    assert len(list((tmp_path / "small" / "members").iterdir())) == 3


def test_a_corrupt_member_is_named_and_the_league_goes_on(tmp_path):
    league = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, _short(2), **SMALL)
    league.learn(2_000)
    broken, *others = league.population.with_weights
    (tmp_path / "population" / "members" / broken / "policy.safetensors").write_bytes(b"no weights")
    again = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, _short(4), **SMALL)
    with pytest.warns(CorruptMemberWarning, match=broken):
        assert again.player(broken) is None
    again.learn(3_000)
    assert broken not in again.population.with_weights
    assert set(others) <= set(again.population.with_weights)
    assert (tmp_path / "population" / "members" / broken).is_dir()  # nothing is lost: it may only be another version's


@pytest.mark.parametrize("how", ["nan", "another game", "card"])
def test_a_member_that_cannot_be_played_against_is_refused_by_name(tmp_path, how):
    league = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, _short(1), **SMALL)
    league.learn(2_000)
    (member,) = league.population.with_weights
    folder = tmp_path / "population" / "members" / member
    if how == "nan":
        policy = load_policy(folder)
        with torch.no_grad():
            next(policy.parameters())[0] = torch.nan
        policy.save(folder)
    elif how == "another game":
        MlpPolicy(spaces.Box(0, 1, (3,)), spaces.Discrete(2)).save(folder)
    else:
        card = load_json(folder / "policy.json")
        save_json(folder / "policy.json", card | {"privilege": {"state": 10**12, "hidden": []}})
    again = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, _short(2), **SMALL)
    with pytest.warns(CorruptMemberWarning, match=member):
        assert again.player(member) is None


def test_who_only_looks_changes_nothing_of_a_league_in_training(tmp_path):
    league = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, _short(1), **SMALL)
    league.learn(2_000)
    half_written = tmp_path / "population" / "members" / ".snapshot-0009.part"
    half_written.mkdir()
    before = (tmp_path / "population" / "league.json").read_bytes()
    watcher = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, _short(1), writable=False, **SMALL)
    watcher.table()
    with pytest.raises(OptionError, match="read only"):
        watcher.population.add(watcher.learner.policy, "exploiter", 1)
    assert half_written.is_dir()
    assert (tmp_path / "population" / "league.json").read_bytes() == before


def test_a_league_without_members_says_so_and_founders_never_enter_its_mixture(tmp_path):
    young = League(rock_paper_scissors(32), MlpPolicy, tmp_path / "young", None, _short(1), **SMALL)
    for mixture in (young.average, young.nash):
        with pytest.raises(OptionError, match="no members yet"):
            mixture()
    older = League(rock_paper_scissors(32), MlpPolicy, tmp_path / "older", None, _short(2), **SMALL)
    older.learn(2_000)
    older.nash().initial(4, 0)


def test_both_players_of_a_game_have_luck_of_their_own():
    games = rock_paper_scissors(96)
    one, other = RandomAgent(games.action_space), RandomAgent(games.action_space)
    scores, _ = play(games, one, [other], 4, 0)
    assert np.mean(scores == 0.5) == pytest.approx(1 / 3, abs=0.07)
    against_two, _ = play(games, one, [other, RandomAgent(games.action_space)], 4, 0)
    assert np.mean(against_two == 0.5) == pytest.approx(1 / 3, abs=0.07)


def test_every_world_counts_from_both_seats_however_long_its_game_takes():
    games = PettingZooGames(Patience, 32)
    scores, _ = play(games, RandomAgent(games.action_space), [RandomAgent(games.action_space)] * 5, 2, 0)
    assert scores.shape == (5, 2 * 2 * 6)
    assert scores.mean() == pytest.approx(0.5)  # each world is won once from the first seat and once from the second


class Patience(ParallelEnv):
    """The first player wins; how soon depends on the world."""

    metadata: ClassVar[dict] = {"name": "patience"}
    possible_agents: ClassVar[list] = ["a", "b"]

    def observation_space(self, agent):
        return spaces.Box(0, 1, (1,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.left = list(self.possible_agents), 1 + (seed or 0) % 7
        return {a: np.zeros(1, np.float32) for a in self.agents}, {a: {} for a in self.agents}

    def step(self, actions):
        self.left -= 1
        over = self.left <= 0
        views = {a: np.zeros(1, np.float32) for a in self.agents}
        rewards = {"a": float(over), "b": -float(over)}
        return (
            views,
            rewards,
            dict.fromkeys(self.agents, over),
            dict.fromkeys(self.agents, False),
            {key: {} for key in views},
        )


class Generosity(Patience):
    """Both win, the first player more."""

    def step(self, actions):
        views, rewards, *rest = super().step(actions)
        return views, {"a": 3 * rewards["a"], "b": rewards["a"]}, *rest


def test_a_game_in_which_both_win_is_played_for_the_difference_and_that_is_said():
    games, everyone = PettingZooGames(Generosity, 2), np.ones(2, bool)
    games.reset(6, everyone)  # 7 moves, and 1
    with pytest.warns(NotZeroSumWarning, match="3 and 1"):
        tick = games.step((np.zeros(2, int), np.zeros(2, int)), everyone)
    assert tick.reward.tolist() == [0.0, 1.0]


def test_masks_that_only_who_is_to_move_is_told_are_kept():
    games = PettingZooGames(lambda: MaskedKuhn(), 8)
    games.reset(0, np.ones(8, bool))
    games.step((np.zeros(8, int), np.zeros(8, int)), np.arange(8) % 2 == 0)
    assert games.allowed.shape == (2, 8, 2)
    assert games.allowed.any(axis=2).all()


class MaskedKuhn(KuhnPoker):
    """Kuhn poker that tells a mask to the player to move, in the info."""

    def reset(self, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.infos[self.agent_selection] = {"action_mask": np.array([1, 0], np.int8)}

    def step(self, action):
        super().step(action)
        self.infos = {agent: {} for agent in self.infos}
        if self.agents:
            self.infos[self.agent_selection] = {"action_mask": np.array([0, 1], np.int8)}


def test_a_damaged_list_of_members_is_refused(tmp_path):
    Population(tmp_path).add_anchors(["random"])
    (tmp_path / "league.json").write_text('{"format": 1, "members": 3}')
    with pytest.raises(CheckpointError, match=r"league.json is no league of this version: .*members"):
        Population(tmp_path)


def _short_league(folder, steps: int) -> None:
    torch.set_num_threads(1)
    League(rock_paper_scissors(32), MlpPolicy, folder, None, _short(40), **SMALL).learn(steps)


def test_killed_ten_times_a_league_loses_no_member_and_has_none_twice(tmp_path):
    fork, steps, random = multiprocessing.get_context("fork"), 256 * 24, np.random.default_rng(0)
    known: dict[str, int] = {}
    for _ in range(10):
        process = fork.Process(target=_short_league, args=(tmp_path, steps))
        process.start()
        time.sleep(0.2 + 0.4 * random.random())
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        if (tmp_path / "population" / "league.json").exists():
            saved = load_json(tmp_path / "population" / "league.json")
            now = {m["name"]: m["step"] for m in saved["members"]}
            assert known.items() <= now.items()
            assert len(now) == len(saved["members"])
            known = now
    with warnings.catch_warnings():
        warnings.simplefilter("error", CorruptMemberWarning)
        league = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, _short(40), **SMALL)
        league.learn(steps)
        assert all(league.population.policy(name) is not None for name in league.population.with_weights)
    assert known.items() <= {m.name: m.step for m in league.population.members.values()}.items()
    numbers = [int(name.split("-")[1]) for name in league.population.with_weights]
    assert len(set(numbers)) == len(numbers)
    assert league.population.made == max(numbers) + 1


def test_duels_of_robots_are_played_in_both_seats_of_the_same_world():
    duel = Duel(Sumo(SumoOptions(episode_s=2.0)), 8, 2, "Disabled")
    games = DuelGames(duel)
    scripted = SeatedPair((duel.task.scripted(duel.seats[0]), duel.task.scripted(duel.seats[1])))
    scores, payoffs = play(games, RandomAgent(games.action_space), [scripted], 1, 0)
    assert scores.shape == (1, 16)
    assert np.isin(payoffs, [-1.0, 0.0, 1.0]).all()


def test_a_league_of_robots_learns_with_what_critics_are_told(tmp_path):
    games, anchors = games_of("Sumo-v0", 16, 2, episode_s=3.0)
    league = League(games, TransformerPolicy, tmp_path, anchors, _short(1), **SMALL | {"n_steps": 32})
    assert league.learner.policy.critic is not None
    assert league.learner.policy.belief_head is not None
    league.learn(1_100)
    assert league.population.made == 1
    assert league.learner.num_timesteps >= 1_100


def test_what_is_no_game_of_two_is_refused_with_the_reason():
    with pytest.raises(OptionError, match="no game"):
        games_of("pettingzoo.classic.no_such_game", 4)


def _short(members: int) -> LeagueConfig:
    return LeagueConfig(concurrent_opponents=4, checkpoints=members, population_size=60, resample_interval=2)


def test_what_a_seeker_finds_out_is_told_with_its_gaze_and_its_memory_taken_away(capsys):
    SeekLeague(games=8).run()
    said = capsys.readouterr().out
    assert all(name in said for name in ("as trained", "fixed gaze", "no memory", "first sight"))
    with pytest.raises(OptionError, match="two games"):
        SeekLeague(games=1).run()


def test_a_forgetful_player_acts_as_at_the_beginning_whatever_it_has_seen():
    policy = TransformerPolicy(spaces.Box(-1, 1, (4,), np.float32), spaces.Box(-1, 1, (2,), np.float32), context=8)
    agent, rng = NetworkAgent(policy), np.random.default_rng(0)
    forgetful, carry = Forgetful(agent), Forgetful(agent).initial(3, 0)
    for t in range(5):
        obs = rng.uniform(-1, 1, (3, 4)).astype(np.float32)
        carry, action = forgetful.act(carry, obs, np.full(3, t == 0))
        fresh = agent.act(agent.initial(3, 0), obs, np.ones(3, bool))[1]
        assert np.allclose(action, fresh, atol=1e-6)


def test_members_meet_once_and_the_mixture_that_none_beats_says_who_plays(tmp_path):
    games = rock_paper_scissors(64)
    payoffs = Payoffs(tmp_path / "payoffs.json")
    rock, paper, scissors = Always(0), Always(1), Always(2)
    assert payoffs.complete(games, {"rock": rock, "paper": paper}, 1, 0)
    assert not payoffs.complete(games, {"rock": rock, "paper": paper}, 1, 0)
    assert payoffs.complete(games, {"rock": rock, "paper": paper, "scissors": scissors}, 1, 0)
    assert np.array_equal(payoffs.table(["rock", "paper", "scissors"]), BIASED)
    again = Payoffs(tmp_path / "payoffs.json")
    assert not again.complete(games, {"rock": rock, "scissors": scissors}, 1, 0)
    assert again.table(["scissors", "rock"])[0, 1] == BIASED[2, 0]


def test_a_league_draws_opponents_as_none_of_its_members_could_beat(tmp_path):
    options = LeagueConfig(
        concurrent_opponents=4,
        latest=0.0,
        anchors=0.0,
        uniform=0.0,
        equilibrium=1.0,
        checkpoints=3,
        resample_interval=2,
    )
    league = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, options, **SMALL)
    league.learn(4_000)
    league.solve()
    names, weights = league._mixture
    assert names == league.population.with_weights
    assert weights.sum() == pytest.approx(1)
    drawn = [league.sample() for _ in range(400)]
    shares = np.array([drawn.count(name) for name in names]) / 400
    assert np.abs(shares - weights).max() < 0.1
    resumed = League(rock_paper_scissors(32), MlpPolicy, tmp_path, None, options, **SMALL)
    assert not resumed.solve()  # all had met before
    assert np.allclose(resumed._mixture[1], weights)
