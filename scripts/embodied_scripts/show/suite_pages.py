"""The suite as a page: everything in it is read from the environments themselves, and measured."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from embodied.evaluation.loop import Decision, Observer, run
from embodied.evaluation.report import evaluate
from embodied.layout import Layout
from embodied.vector.vec import Experience, GymVecEnv, as_vec_env
from embodied.world.duel import DuelTask
from embodied_scripts.baselines import baselines
from embodied_scripts.cli.list import List
from embodied_scripts.ids import any_version, own_ids
from embodied_scripts.show.environments import hidden_words

STEPS_BEFORE_PICTURE = 25
WORLDS = 128
GAMES_SHARE = 8  # a duel's table has six lines of games that are long: one game for so many episodes of the others


def write_suite(asked: List) -> None:
    """Writes the pages of all environments, and says where."""
    assert asked.pages is not None
    with any_version():
        Console().print(f"Wrote {write_pages(asked.pages, own_ids(), asked.episodes)}")


def write_pages(folder: Path, ids: list[str], episodes: int) -> Path:
    """Writes `suite.md` and a picture of every environment into `folder`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "suite.md"
    parts = [
        "# The suite",
        "",
        "Written by `embodied list --pages docs`: specifications from the code, scores measured.",
        "",
    ]
    for env_id in ids:
        name = env_id.removeprefix("embodied/")
        picture = f"suite-{name.removesuffix('-v0').lower()}.png"
        Image.fromarray(_picture(env_id)).save(folder / picture)
        parts += [*_page(env_id, name, picture), *_scores(env_id, episodes)]
        page.write_text("\n".join(parts).rstrip() + "\n")  # scores take minutes: what is measured is kept
    return page


def _page(env_id: str, name: str, picture: str) -> Iterator[str]:
    env: Any = gym.make(env_id).unwrapped
    task = env.task
    module = importlib.import_module(str(gym.spec(env_id).entry_point).partition(":")[0])
    yield from (f"## {name}", "", _sentence(module), "", f"![{name}]({picture})", "")
    yield from ("| | |", "|---|---|")
    yield f"| decisions, time limit | {task.control_hz:g} per second, {task.episode_s:g} s |"
    yield f"| actions, each in [−1, 1] | {', '.join(c.name for c in env.action_layout.channels)} |"
    yield f"| reward | {_sentence(type(task))} |"
    yield f"| hidden | {'; '.join(hidden_words(variable) for variable in env.hidden)} |"
    yield from ("", "| observed | numbers | unit | from, to |", "|---|---|---|---|", *_channels(env.layout), "")
    options = type(task.options)
    yield from ("| option | default | |", "|---|---|---|")
    meanings = _attributes(options)
    for option in fields(options):
        yield f"| `{option.name}` | {option.default!r} | {meanings.get(option.name, '')} |"
    yield ""
    env.close()


def _channels(layout: Layout) -> Iterator[str]:
    for c in layout.channels:
        yield f"| `{c.name}` | {c.size} | {c.unit} | {c.low:.4g}, {c.high:.4g} |"


def _sentence(documented: Any) -> str:
    """The first sentence of a docstring."""
    return (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ")


def _attributes(cls: type) -> dict[str, str]:
    """What docstrings of a class, and of those that it is derived from, say of each attribute."""
    texts = [(inspect.getdoc(one) or "").partition("Attributes:")[2] for one in reversed(cls.__mro__)]
    entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", "\n".join(texts), re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in entries}


def _picture(env_id: str) -> np.ndarray:
    """A world after a few decisions of its own kind: blindly ahead, or as its scripted players move."""
    env: Any = gym.make_vec(env_id, num_envs=1, render_mode="rgb_array")
    env.reset(seed=4)
    ahead = np.zeros(env.action_space.shape, np.float32)
    ahead[:, :2] = 0.25
    for _ in range(STEPS_BEFORE_PICTURE):
        env.step(ahead)
    picture = env.render()[0]
    env.close()
    return picture


def _scores(env_id: str, episodes: int) -> Iterator[str]:
    if not episodes:
        return
    if isinstance(gym.make(env_id).unwrapped.task, DuelTask):  # type: ignore[attr-defined]
        yield from _duel_scores(env_id, max(episodes // GAMES_SHARE, 1))
        return
    env: Any = as_vec_env(env_id, WORLDS)
    yield from (f"Over {episodes} episodes:", "", "| player | success | return |", "|---|---|---|")
    returns = {}
    for player, agent in baselines(env).items():
        report = evaluate(agent, env, episodes)
        returns[player] = report.reward
        success = f"{100 * (report.success or 0):.1f} ± {100 * (report.success_error or 0):.1f} %"
        yield f"| {player} | {success} | {report.reward:+.3f} ± {report.reward_error:.3f} |"
    worth = returns["oracle"] - returns["uninformed"]
    yield from ("", f"Value of information (oracle less uninformed): {worth:.2f}.", "")
    env.close()


def _duel_scores(env_id: str, games: int) -> Iterator[str]:
    """How the scripted player fares in both seats."""
    yield from (f"Over {games} games each:", "")
    yield from ("| scripted as | against | won | lost | drawn |", "|---|---|---|---|---|")
    for seat in (0, 1):
        for opponent in ("random", "idle", "scripted"):
            name, results = play_games(env_id, seat, opponent, games)
            won, lost = np.mean(results > 0), np.mean(results < 0)
            yield f"| {name} | {opponent} | {100 * won:.0f} % | {100 * lost:.0f} % | {100 * (1 - won - lost):.0f} % |"
    yield ""


def play_games(env_id: str, seat: int, opponent: str, games: int) -> tuple[str, np.ndarray]:
    """Plays the first game of `games` worlds with the scripted player in `seat`; returns its name and the results."""
    made: Any = gym.make_vec(env_id, num_envs=games, autoreset_mode="SameStep", seat=seat, opponent=opponent).unwrapped
    env, results = GymVecEnv(made), _Results(games)
    run(made.task.scripted(made.mine), env, 10_000, [results], 1, agent_seed=0)
    env.close()
    return made.mine.name, results.reward


class _Results(Observer):
    """The reward of the last step of each world's game."""

    def __init__(self, games: int) -> None:
        self.reward = np.zeros(games)

    def on_end(self, worlds: NDArray[np.intp], decision: Decision, experience: Experience) -> None:
        self.reward[worlds] = experience.reward[worlds]
