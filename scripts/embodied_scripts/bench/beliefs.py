"""Whether beliefs are honest: how often the truth lies where they say, and how well they foretell, task by task."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from embodied.evaluation.loop import Decision, Observer, run
from embodied.hidden import Discrete
from embodied.mind.belief import DiscreteFilter
from embodied.mind.credible_regions import LEVELS, central_region, coverage, smallest_region
from embodied.mind.particles import ParticleBelief
from embodied.mind.planner import Planner
from embodied.mind.problem import log_density
from embodied.vector.vec import Experience, GymVecEnv, make_vec
from embodied.world.evidence import Evidence
from embodied_policies.scripted.driving import wrapped
from embodied_scripts.baselines import baselines
from embodied_scripts.bench.classics import CLASSICS, STEPS
from embodied_scripts.ids import short_name
from embodied_scripts.planning import pose_filter
from embodied_scripts.players import PLAYERS

WORLDS = 64
PARTICLES = 2000
TRIALS = 4  # of the planner for a decision: who acts is not what is measured
LEGEND = (
    "50, 90, 99 %: how often the truth lies in the regions that hold so much of the belief, mean and standard error "
    "over episodes; foretold: mean ln likelihood of an observation before it is made, beside the exact filter's."
)


@dataclass
class Regions:
    """How much of each belief lies in the region that just reaches the truth, by episode.

    Attributes:
        episodes: of each, the regions of its decisions.
        foretold, exact: mean ln likelihood of what was observed, of the filter and of the exact one; None where nobody
            can say.
    """

    episodes: list[list[float]] = field(default_factory=list)
    foretold: float | None = None
    exact: float | None = None

    @property
    def covered(self) -> NDArray[np.float64]:
        """Mean and standard error, over episodes, of the share of truths in regions of each level, `(2, levels)`."""
        share = np.array([coverage(one) for one in self.episodes if one])
        return np.array([share.mean(axis=0), share.std(axis=0) / math.sqrt(len(share))])


def show_beliefs(episodes: int, small: bool = False) -> dict[str, list[float]]:
    """Plays, prints the table, and returns the coverage of 50, 90 and 99 % regions, in per cent.

    Args:
        small: of three of them only, to see whether it runs.
    """
    measures: dict[str, Callable[[int], dict[str, Regions]]] = {}
    for env_id in PLAYERS:
        measures[short_name(env_id)] = partial(task_regions, env_id)
    for name, (kind, _) in CLASSICS.items():
        measures[name] = partial(problem_regions, kind())
    measures["Drift"] = drift_regions
    if small:
        measures = {name: measures[name] for name in ("Signpost", "Tiger", "Drift")}
    found: dict[str, Regions] = {}
    for name, measure in track(measures.items(), "Believing", transient=True):
        found |= {f"{name}, {who}": regions for who, regions in measure(episodes).items()}
    _print(found)
    return {name: (100 * regions.covered[0]).round(1).tolist() for name, regions in found.items()}


def task_regions(env_id: str, episodes: int, seed: int = 10_000) -> dict[str, Regions]:
    """Of a task's filter, at every decision of the player that gathers information; nothing where it has none."""
    env = GymVecEnv(make_vec(env_id, min(episodes, WORLDS)))
    real: Any = env.gym_env
    watched = _watched(real)
    if watched is not None:
        run(baselines(env)["heuristic"], env, seed, [watched], -(-episodes // env.num_envs))
    env.close()
    return {} if watched is None else watched.found


def pose_coverage(episodes: int, share: float = 0.9) -> tuple[float, float]:
    """How often LightDark's true pose lies in the region that holds a `share` of the filter's belief.

    Returns:
        The mean over all decisions of the heuristic policy's episodes, and that over their last decisions.
    """
    played = task_regions("embodied/LightDark-v0", episodes)["pose, particles"].episodes
    every, last = [region for one in played for region in one], [one[-1] for one in played]
    inside, at_end = (coverage(regions, [share])[0] for regions in (every, last))
    return float(inside), float(at_end)


def _watched(real: Any) -> _Watched | None:
    """Who follows the filter of a task; None if it has none."""
    if not isinstance(real.hidden[0], Discrete):
        return _Pose(real.task)
    evidence = Evidence.through(real)
    return _Label(real.hidden[0], evidence) if evidence.exact else None


class _Watched(Observer, ABC):
    """Regions of a filter that follows what a player does, by what is believed in, and episode."""

    def __init__(self, *quantities: str) -> None:
        self.found = {name: Regions() for name in quantities}
        self._rng = np.random.default_rng(0)

    def on_start(self, env: Any) -> None:
        self._going: list[list[NDArray]] = [[] for _ in range(env.num_envs)]

    def on_decision(self, decision: Decision) -> None:
        for world in np.flatnonzero(decision.first):
            self._going[world] = []
        for going, regions in zip(self._going, self.regions(decision).T, strict=True):
            going.append(regions)

    def on_end(self, worlds: NDArray[np.intp], decision: Decision, experience: Experience) -> None:
        for world in worlds:
            for one, regions in zip(self.found.values(), np.transpose(self._going[world]), strict=True):
                one.episodes.append(regions.tolist())

    @abstractmethod
    def regions(self, decision: Decision) -> NDArray[np.float64]:
        """How much of each world's belief lies in the region that just reaches the truth, `(quantities, n)`."""


class _Label(_Watched):
    """Of a label, by a task's own likelihood."""

    def __init__(self, variable: Discrete, evidence: Evidence) -> None:
        super().__init__("exact filter")
        self._variable, self._evidence = variable, evidence

    def on_start(self, env: Any) -> None:
        super().on_start(env)
        self._filter = DiscreteFilter(self._variable, env.num_envs)

    def regions(self, decision: Decision) -> NDArray[np.float64]:
        self._filter.begin(decision.first)
        self._filter.update(self._evidence.of(decision.obs))
        return smallest_region(self._filter.probabilities, decision.privileged["hidden"][:, 0], self._rng)[None]


class _Pose(_Watched):
    """Of a pose, and of each of its coordinates, by particles."""

    def __init__(self, task: Any) -> None:
        super().__init__(*(f"{name}, particles" for name in ("pose", "x", "y", "heading")))
        self._task, self._tracker = task, pose_filter(task)

    def on_start(self, env: Any) -> None:
        super().on_start(env)
        self._belief = self._tracker.initial(env.num_envs, 0)

    def regions(self, decision: Decision) -> NDArray[np.float64]:
        self._belief = self._tracker.update(self._belief, decision.obs, decision.first)
        truth, weights = self._task.truth(), self._belief.weights
        off = self._belief.pose - truth[:, None]
        off[..., 2] = wrapped(off[..., 2])
        here = np.zeros(len(truth))
        each = [central_region(off[..., axis], weights, here, self._rng) for axis in range(3)]
        return np.stack([self._belief.within(truth), *each])


def problem_regions(problem: Any, episodes: int, seed: int = 0) -> dict[str, Regions]:
    """Of the planner's exact filter over listed states and of particles, over what a hasty planner does and sees."""
    rng, planner = np.random.default_rng(seed), Planner(problem, seed, simulations=TRIALS)
    filters = {"exact filter": Regions(), "particles": Regions()}
    foretold: dict[str, list[float]] = {name: [] for name in filters}
    for _ in range(episodes):
        planner.reset()
        beliefs: dict[str, Any] = {"exact filter": planner.belief, "particles": ParticleBelief(problem, PARTICLES, rng)}
        for regions in filters.values():
            regions.episodes.append([])
        for state, action, observation in _course(problem, planner, rng):
            for name, belief in beliefs.items():
                belief.predict(action)
                foretold[name].append(_foretold(problem, belief, observation, action))
                belief.update(observation, action)
                filters[name].episodes[-1].append(_state_region(belief, state, rng))
    for name, regions in filters.items():
        regions.foretold, regions.exact = float(np.mean(foretold[name])), float(np.mean(foretold["exact filter"]))
    return filters


def _course(problem: Any, planner: Planner, rng: np.random.Generator) -> Iterator[tuple[NDArray, Any, Any]]:
    """States, actions and observations of an episode; whoever takes them keeps the planner's belief up to date."""
    state = problem.initial(1, rng)
    for _ in range(STEPS):
        action = planner.act()
        state, observed, _, done = problem.step(state, action, rng)
        if done[0]:
            return
        yield state[0], action, observed[0]


def _foretold(problem: Any, belief: Any, observation: Any, action: Any) -> float:
    """ln likelihood of an observation by what is believed before it; at least −30."""
    with np.errstate(divide="ignore"):
        joint = np.log(belief.weights) + log_density(problem, observation, belief.states, action)
    return max(float(np.logaddexp.reduce(joint)), -30.0)


def _state_region(belief: Any, state: NDArray, rng: np.random.Generator) -> float:
    """Of the true state, among all that are believed in; 1 where it is not."""
    flat = belief.states.reshape(len(belief.states), -1)
    kinds, which = np.unique(flat, axis=0, return_inverse=True)
    true = np.flatnonzero((kinds == np.ravel(state)).all(axis=1))
    if not true.size:
        return 1.0
    weights = np.bincount(which.reshape(-1), belief.weights, minlength=len(kinds))
    return float(smallest_region(weights[None], true, rng)[0])


class Drift:
    """A point in the plane that drifts and is seen blurred, whose exact filter is Kalman's.

    States `(n, 2)`; it starts within 2 (standard deviation), drifts by 0.5 a step, and is seen within 1 and 0.3.
    """

    discount, actions = 0.95, ("wait",)
    WITHIN, DRIFT, BLUR = 2.0, 0.5, np.array([1.0, 0.3])

    def initial(self, n: int, rng: np.random.Generator) -> NDArray:
        """Around the origin."""
        return rng.normal(0.0, self.WITHIN, (n, 2))

    def step(self, states: NDArray, action: Any, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Drifts, and is seen."""
        after = states + rng.normal(0.0, self.DRIFT, states.shape)
        return after, rng.normal(after, self.BLUR), np.zeros(len(after)), np.zeros(len(after), bool)

    def likelihood(self, observation: Any, states: NDArray, action: Any) -> NDArray:
        """A Gaussian along each axis."""
        off = (observation - states) / self.BLUR
        return np.exp(-0.5 * (off**2).sum(axis=1)) / (2 * math.pi * self.BLUR.prod())


def drift_regions(episodes: int, steps: int = 20, seed: int = 0) -> dict[str, Regions]:
    """Of particles along each axis of a point that drifts, beside Kalman's filter."""
    problem, rng = Drift(), np.random.default_rng(seed)
    found = {"x, particles": Regions(), "y, particles": Regions()}
    foretold, exact = [], []
    for _ in range(episodes):
        belief, state = ParticleBelief(problem, PARTICLES, rng), problem.initial(1, rng)
        mean, variance = np.zeros(2), np.full(2, problem.WITHIN**2)
        for regions in found.values():
            regions.episodes.append([])
        for _ in range(steps):
            state, observed, _, _ = problem.step(state, "wait", rng)
            belief.predict("wait")
            foretold.append(_foretold(problem, belief, observed[0], "wait"))
            belief.update(observed[0], "wait")
            mean, variance, log_likelihood = _kalman(problem, mean, variance, observed[0])
            exact.append(log_likelihood)
            for axis, regions in enumerate(found.values()):
                own = belief.states[None, :, axis], belief.weights[None], state[:, axis]
                regions.episodes[-1].append(float(central_region(*own, rng)[0]))
    for regions in found.values():
        regions.foretold, regions.exact = float(np.mean(foretold)), float(np.mean(exact))
    return found


def _kalman(problem: Drift, mean: NDArray, variance: NDArray, observed: NDArray) -> tuple[NDArray, NDArray, float]:
    """One step of Kalman's filter along each axis, and the ln likelihood of what was seen (Kalman 1960)."""
    variance = variance + problem.DRIFT**2
    seen = variance + problem.BLUR**2
    off = observed - mean
    log_likelihood = float((-0.5 * off**2 / seen - 0.5 * np.log(2 * math.pi * seen)).sum())
    gain = variance / seen
    return mean + gain * off, (1 - gain) * variance, log_likelihood


def _print(found: dict[str, Regions]) -> None:
    sheet = Table(title="whether beliefs are honest", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    sheet.add_column("belief")
    for column in ("episodes", *(f"{100 * level:g} %" for level in LEVELS), "foretold", "exact"):
        sheet.add_column(column, no_wrap=True, justify="right")
    for name, regions in found.items():
        shares = [f"{100 * mean:.1f} ±{100 * error:.1f}" for mean, error in regions.covered.T]
        told = ["" if one is None else f"{one:.3f}" for one in (regions.foretold, regions.exact)]
        sheet.add_row(name, str(len(regions.episodes)), *shares, *told)
    sheet.caption, sheet.caption_justify = LEGEND, "left"
    Console().print(sheet)
