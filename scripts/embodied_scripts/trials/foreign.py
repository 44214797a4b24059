"""Environments and games of other packages, each trained from the command line and evaluated."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Any

from rich.console import Console

from embodied_scripts.cli.study_foreign import Foreign

# By package: the module that registers, ids, and what the command line is told beside them.
ENVIRONMENTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "gymnasium": (
        "",
        ("CartPole-v1", "Pendulum-v1", "MountainCarContinuous-v0", "Acrobot-v1", "Blackjack-v1", "Taxi-v4",
         "FrozenLake-v1", "CliffWalking-v1", "Hopper-v5", "Ant-v5", "HumanoidStandup-v5", "LunarLander-v3",
         "BipedalWalker-v3", "CarRacing-v3"),
        (),
    ),
    "gymnasium_robotics": (
        "gymnasium_robotics",
        ("PointMaze_UMaze-v3", "AntMaze_UMaze-v5", "AdroitHandDoor-v1", "FetchReach-v4", "HandReach-v3"),
        (),
    ),
    "minigrid": (
        "minigrid",
        ("MiniGrid-Empty-5x5-v0", "MiniGrid-DoorKey-5x5-v0", "MiniGrid-MemoryS7-v0", "BabyAI-GoToObj-v0"),
        ("--observe", "image", "direction"),
    ),
    "ale_py": ("ale_py", ("ALE/Pong-v5", "ALE/Breakout-v5"), ()),
    "popgym": (
        "popgym",
        ("popgym-RepeatPreviousEasy-v0", "popgym-AutoencodeEasy-v0", "popgym-HigherLowerEasy-v0",
         "popgym-BattleshipEasy-v0", "popgym-NoisyPositionOnlyCartPoleEasy-v0"),
        (),
    ),
    "dm_control": (
        "shimmy",
        ("dm_control/cartpole-balance-v0", "dm_control/walker-walk-v0", "dm_control/finger-spin-v0",
         "dm_control/acrobot-swingup-v0"),
        (),
    ),
    "highway_env": ("highway_env", ("highway-v0", "parking-v0", "merge-v0"), ()),
    "gymnasium_2048": ("gymnasium_2048", ("gymnasium_2048/TwentyFortyEight-v0",), ()),
    "flappy_bird_gymnasium": ("flappy_bird_gymnasium", ("FlappyBird-v0",), ()),
    "gym_classics": ("gym_classics", ("ClassicGridworld-v0",), ()),
    "panda_gym": ("panda_gym", ("PandaReach-v3", "PandaPush-v3"), ()),
    "mo_gymnasium": ("mo_gymnasium", ("deep-sea-treasure-v0", "minecart-v0"), ()),
    "memory_gym": ("memory_gym", ("MortarMayhem-Grid-v0", "MysteryPath-Grid-v0"), ()),
    "metaworld": ("metaworld", ("Meta-World/MT1",), ("--options", "env_name=reach-v3")),
}  # fmt: skip
GAMES = {
    "pettingzoo": ("rps_v2", "connect_four_v3", "tictactoe_v3", "leduc_holdem_v4", "texas_holdem_v4", "hanabi_v5"),
    "mpe2": ("simple_push_v3", "simple_adversary_v3", "simple_speaker_listener_v4"),
}
PREFIX = {"pettingzoo": "pettingzoo.classic.", "mpe2": "mpe2."}


def try_foreign(asked: Foreign) -> None:
    """Prints a row for each, in Markdown; finished rows are taken from the folder."""
    console = Console(soft_wrap=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    kept = asked.out / "rows.json"
    rows: dict[str, list[str]] = json.loads(kept.read_text()) if kept.exists() else {}
    console.print("| package | environment or game | trained | evaluated, or why not |\n|---|---|---|---|")
    for package, name, command in _commands():
        if asked.only and package not in asked.only:
            continue
        if importlib.util.find_spec(package) is None:
            continue
        if name not in rows:
            rows[name] = _tried(package, name, command, asked)
            kept.write_text(json.dumps(rows, indent=1))
        console.print(f"| {' | '.join(rows[name])} |", markup=False, highlight=False)


def _commands() -> list[tuple[str, str, list[str]]]:
    """Package, name, and what trains it."""
    found = []
    for package, (module, names, told) in ENVIRONMENTS.items():
        found += [(package, name, ["train", f"{module}:{name}".lstrip(":"), *told]) for name in names]
    for package, games in GAMES.items():
        found += [(package, game, ["league", "train", PREFIX[package] + game]) for game in games]
    return found


def _tried(package: str, name: str, command: list[str], asked: Foreign) -> list[str]:
    run = asked.out / name.replace("/", "_")
    size = ["--steps", str(asked.steps), "--n-envs", "8", "--n-steps", "32", "--threads", "1", "--run", str(run)]
    game = command[0] == "league"
    small = ["--concurrent-opponents", "2", "--checkpoints", "2"] if game else []
    trained = _called([*command, *size, *small], asked.minutes)
    if trained is not None:
        return [package, f"`{name}`", "no", trained]
    module = command[1].rpartition(":")[0] if not game else command[2]
    imported = ["--import", module] if module else []
    judge = (
        ["league", "show", str(run)]
        if game
        else ["evaluate", str(run), "--episodes", "4", "--json", str(run / "e.json")]
    )
    wrong = _called([*judge, *imported], asked.minutes)
    return [package, f"`{name}`", f"{asked.steps:,} steps", wrong or "yes"]


def _called(command: list[str], minutes: float) -> str | None:
    """Runs a command; its last line if it failed."""
    call: list[Any] = [sys.executable, "-m", "embodied_scripts.cli.main", *command]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=60 * minutes, check=False)
    except subprocess.TimeoutExpired:
        return f"not within {minutes:g} minutes"
    if not done.returncode:
        return None
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return (lines or ["?"])[-1].replace("|", "/")[:300]
