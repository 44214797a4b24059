"""Games of others: of turns or not, with deaths, early ends, unequal seats, and without an end."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv

from embodied.errors import CheckpointError, NotZeroSumWarning, OptionError
from embodied.evaluation.agents import RandomAgent
from embodied.nn.config import NetworkConfig
from embodied.randomization import Randomization, RandomizationTerm, Uniform
from embodied.selfplay.arena import Arena
from embodied.selfplay.config import LeagueConfig
from embodied.selfplay.games import PettingZooGames
from embodied.selfplay.league import League
from embodied.selfplay.tournament import play
from embodied_policies import MlpPolicy
from embodied_scripts.cli.league import TrainLeague
from embodied_scripts.cli.train import MANY_WORLDS
from embodied_scripts.leagues import games_of

SMALL = {"n_steps": 8, "n_epochs": 1, "minibatches": 1}
SHORT = LeagueConfig(concurrent_opponents=2, checkpoints=2, resample_interval=1)


class Duel(ParallelEnv):
    """Both move at once for three rounds; the greater first number wins a point in the last."""

    metadata = {"name": "duel"}  # noqa: RUF012
    moves = spaces.Discrete(3)
    rounds = 3

    def __init__(self):
        self.possible_agents = ["a", "b"]

    def observation_space(self, agent):
        return spaces.Box(0, 1, (1,), np.float32)

    def action_space(self, agent):
        return self.moves

    def reset(self, seed=None, options=None):
        self.agents, self.t = ["a", "b"], 0
        return self.each(self.look), self.each(lambda _: {})

    def step(self, actions):
        self.check(actions)
        self.t += 1
        over = self.t == self.rounds
        a, b = (float(np.ravel(actions[p])[0]) for p in "ab")
        won = np.sign(a - b) * over
        if over:
            self.agents = []
        return self.each(self.look), {"a": won, "b": -won}, self.each(lambda _: over), self.each(lambda _: False), {}

    def check(self, actions):
        assert all(self.action_space(p).contains(action) for p, action in actions.items())

    def look(self, agent):
        return np.full(self.observation_space(agent).shape, self.t / 3, np.float32)

    def each(self, value):
        return {p: value(p) for p in "ab"}


class Dials(Duel):
    moves = spaces.MultiDiscrete([3, 2])


class Unequal(Duel):
    """One sees three numbers and chooses from five from 2 on, the other sees one and chooses from two."""

    def observation_space(self, agent):
        return spaces.Box(0, 1, (3 if agent == "a" else 1,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(5, start=2) if agent == "a" else spaces.Discrete(2)


class UnequalBoxes(Unequal):
    def action_space(self, agent):
        return spaces.Box(0, 4, (2, 1), np.float64) if agent == "a" else spaces.Box(-3, -1, (1,), np.float32)


@pytest.mark.parametrize("game", [Dials, Unequal, UnequalBoxes])
def test_seats_may_choose_several_things_and_see_and_do_different_ones(tmp_path, game):
    games = PettingZooGames(game, 8)
    league = League(games, MlpPolicy, tmp_path, None, SHORT, **SMALL)
    league.learn(200)
    scores, _ = play(games, RandomAgent(games.action_space), [league.player("random")], 2, 0)
    assert set(np.unique(scores)) <= {0.0, 0.5, 1.0}
    if game is not Dials:  # the first seat's numbers are always the greater ones
        assert scores[0, : len(scores[0]) // 2].mean() == 0.5


def test_what_either_seat_does_is_what_it_is_told_in_its_own_numbers():
    games = PettingZooGames(UnequalBoxes, 2)
    games.reset(0, np.ones(2, bool))
    assert games.rows.shape == (2, 2, 3)
    heard = []
    games._boards[0]._env.check = heard.append
    games.step((np.array([[0.5, -1.0], [0, 0]]), np.array([[0.5, 9.0], [0, 0]])), np.array([True, False]))
    assert heard[0]["a"].tolist() == [[3.0], [0.0]]
    assert heard[0]["b"].tolist() == [-1.5]
    games = PettingZooGames(Unequal, 2)
    games.reset(0, np.ones(2, bool))
    assert games.allowed[:, 0].tolist() == [[True] * 5, [True, True, False, False, False]]


def test_seats_that_no_policy_could_play_both_and_more_than_two_players_are_refused():
    class Mixed(Duel):
        def action_space(self, agent):
            return spaces.Discrete(2) if agent == "a" else spaces.Box(-1, 1, (1,))

    class Three(Duel):
        def __init__(self):
            self.possible_agents = ["a", "b", "c"]

    with pytest.raises(OptionError, match=r"no policy plays both seats of a game in which one does Discrete\(2\)"):
        PettingZooGames(Mixed, 2)
    with pytest.raises(OptionError, match="a league needs two players; this game has 3: a, b, c"):
        PettingZooGames(Three, 2)


class Survivor(Duel):
    """The first dies in the first round; the other plays two rounds on, and loses in the last."""

    def step(self, actions):
        assert set(actions) == set(self.agents)
        self.t += 1
        last = self.t == 3
        dead = {p: (p == "a" and self.t == 1) or (p == "b" and last) for p in self.agents}
        told = {p: float(last) * (1 if p == "a" else -1) for p in "ab"}
        views, agents = {p: self.look(p) for p in self.agents}, self.agents
        self.agents = [p for p in self.agents if not dead[p]]
        return views, told, dead, dict.fromkeys(agents, False), {p: {} for p in agents}


class Turns(AECEnv):
    """What two games of turns share: two players, who see nothing and choose from two."""

    render_mode = None

    def __init__(self):
        super().__init__()
        self.possible_agents = ["a", "b"]

    def observation_space(self, agent):
        return spaces.Box(0, 1, (1,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def observe(self, agent):
        assert agent in self.agents
        return np.zeros(1, np.float32)

    def reset(self, seed=None, options=None):
        self.agents, self.agent_selection = ["a", "b"], "a"
        self.rewards, self._cumulative_rewards = ({"a": 0.0, "b": 0.0} for _ in range(2))
        self.terminations, self.truncations = ({"a": False, "b": False} for _ in range(2))
        self.infos = {"a": {}, "b": {}}


class TurnsSurvivor(Turns):
    """The same in turns."""

    metadata = {"name": "survivor"}  # noqa: RUF012

    def reset(self, seed=None, options=None):
        super().reset(seed, options)
        self.t = 0

    def step(self, action):
        if self.terminations[self.agent_selection]:
            self._was_dead_step(action)
            self.agent_selection = "b"
            return
        self.t += 1
        self.rewards = dict.fromkeys(self.agents, 0.0)
        if self.agent_selection == "a":
            self.terminations["a"] = True
        elif self.t >= 4:
            self.terminations["b"] = True
            self.rewards["b"] = -1.0  # the dead are paid no more
        self.agent_selection = "a" if "a" in self.agents and self.terminations["a"] else "b"
        self._accumulate_rewards()


@pytest.mark.parametrize("game", [Survivor, TurnsSurvivor])
def test_who_dies_before_the_pay_off_is_still_paid(game):
    games = PettingZooGames(game, 8)
    with nullcontext() if game is Survivor else pytest.warns(NotZeroSumWarning):
        scores, payoffs = play(games, RandomAgent(games.action_space), [RandomAgent(games.action_space)], 1, 0)
    won = 1.0 if game is Survivor else 0.5
    assert payoffs.tolist() == [[won, -won] * 4 + [-won, won] * 4]
    assert scores.tolist() == [[1.0, 0.0] * 4 + [0.0, 1.0] * 4]


class Fold(Turns):
    """The first may fold at once and lose 2 of the blind that it has paid; else the second decides, and is paid 1."""

    metadata = {"name": "fold"}  # noqa: RUF012

    def step(self, action):
        if self.agent_selection == "b" or action == 0:
            self.terminations = {"a": True, "b": True}
            self.rewards = {"a": -2.0, "b": 2.0} if self.agent_selection == "a" else {"a": -1.0, "b": 1.0}
        else:
            self.rewards, self.agent_selection = {"a": -0.25, "b": 0.25}, "b"


class Fixed:
    def __init__(self, choices):
        self.choices = choices

    def initial(self, n, seed):
        return 0

    def act(self, carry, obs, first):
        return carry + 1, np.full(len(obs), self.choices[carry % len(self.choices)])


def test_a_game_may_end_or_pay_before_one_has_moved():
    games = PettingZooGames(Fold, 2)
    arena = Arena(games, (2,))
    arena.seat(0, Fixed([0, 0, 1]), 0)  # folds twice, then plays
    arena.reset(seed=0)
    results = arena.take_results()
    assert [(r.game, r.seat, r.score, r.payoff) for r in results] == [(1, 1, 1.0, 2.0)] * 2
    _, reward, terminated, _, _ = arena.step(np.array([0, 1]))
    assert terminated.all()
    assert reward.tolist() == [-2.0, 1.25]  # what was paid before counts with the first move
    assert [(r.game, r.payoff) for r in arena.take_results()] == [(0, -2.0), (1, 1.25)]
    always = Arena(games, (2,))
    always.seat(0, Fixed([0]), 0)
    with pytest.raises(OptionError, match="1000 games on end were over before the learner could move"):
        always.reset(seed=0)


class Marathon(Duel):
    rounds = 70


def test_games_longer_than_an_opponents_stay_are_played_to_their_end_and_counted(tmp_path):
    league = League(PettingZooGames(Marathon, 8), MlpPolicy, tmp_path, None, replace(SHORT, latest=0.0), **SMALL)
    league.learn(8 * 300)
    assert sum(score.games for score in league.population.scores.values()) > 8


class Endless(Duel):
    rounds = -1


def test_a_game_without_an_end_is_cut_off_and_judged_by_what_was_paid(tmp_path):
    league = League(PettingZooGames(Endless, 8), MlpPolicy, tmp_path, None, replace(SHORT, longest=20), **SMALL)
    league.learn(8 * 60)
    assert len(league.arena.take_results()) == 0  # counted
    assert sum(score.games for score in league.population.scores.values()) > 0
    games = PettingZooGames(Endless, 2)
    scores, payoffs = play(games, RandomAgent(games.action_space), [RandomAgent(games.action_space)], 1, 0, 50)
    assert (scores == 0.5).all()
    assert (payoffs == 0).all()


def test_a_league_is_resumed_with_what_it_was_begun_with_or_not_at_all(tmp_path):
    settings = {
        "n_envs": 8,
        "network": NetworkConfig("MlpPolicy", 1, 16),
        "ppo": replace(MANY_WORLDS, n_steps=8, dagger_share=1.0),
        "league": SHORT,
        "options": ("episode_s=1.0",),
        "threads": 1,
    }
    TrainLeague("Sumo-v0", steps=64, run_dir=tmp_path, **settings).run()
    TrainLeague("embodied/Sumo-v0", steps=128, run_dir=tmp_path, resume=True, n_envs=8).run()
    for wrong, name in (
        ({"n_envs": 16}, "n_envs = 8"),
        ({"seed": 3}, "seed = 0"),
        ({"options": ("episode_s=2.0",)}, "options"),
        ({"network": NetworkConfig("GRUPolicy")}, "policy"),
        ({"league": replace(SHORT, delta=0.5)}, "delta = 0.0"),
    ):
        with pytest.raises(OptionError, match=f"was begun with {name}.*--resume cannot change"):
            TrainLeague("Sumo-v0", run_dir=tmp_path, resume=True, **wrong).run()
    with pytest.raises(CheckpointError, match="is a league of Sumo-v0, not of HideSeek-v0"):
        TrainLeague("HideSeek-v0", run_dir=tmp_path, resume=True).run()


def test_a_league_of_robots_is_randomized_as_it_is_asked_and_has_no_seat_of_its_own():
    randomize = Randomization((RandomizationTerm(("*_motor/resistance",), Uniform(0.5, 2.0), "scale"),))
    games, _ = games_of("Sumo-v0", 2, 1, randomize=randomize)
    games.reset(0, np.ones(2, bool))
    resistance = games.duel.env.bodies[0].parameter("left_motor/resistance")[:, 0]
    assert resistance[0] != resistance[1]
    with pytest.raises(OptionError, match="a league has no option 'opponent'"):
        games_of("Sumo-v0", 2, 1, opponent="idle")


@pytest.mark.parametrize("module", ["leduc_holdem_v4", "texas_holdem_v4", "connect_four_v3", "rps_v2", "gin_rummy_v4"])
def test_games_of_pettingzoo_are_learned_as_they_are(tmp_path, module):
    classic = pytest.importorskip(f"pettingzoo.classic.{module}")
    make = getattr(classic, "parallel_env", classic.env)
    games = PettingZooGames(make, 8)
    league = League(games, MlpPolicy, tmp_path, None, SHORT, **SMALL)
    league.learn(256)
    assert sum(score.games for score in league.population.scores.values()) > 0
