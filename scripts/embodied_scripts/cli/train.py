"""`embodied train`: a policy learns an environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embodied.learn.config import PPOConfig
from embodied.nn.config import NetworkConfig
from embodied_scripts.cli.lazy import load

# What this project measures with: a hundred worlds at once, a few steps each.
MANY_WORLDS = PPOConfig(
    learning_rate=5e-4, learning_rate_end=5e-5, n_steps=64, batch_size=512, n_epochs=4, stats_window_size=512
)


@dataclass(frozen=True)
class Train:
    """Train a policy on an environment. Ctrl-C saves and stops; `--resume` goes on."""

    id: Annotated[str, tyro.conf.Positional]
    """Environment: Signpost-v0, any registered id, or `module:id` of a module that registers it."""
    steps: int | None = None
    """Environment steps, over all worlds together (default: 1,500,000, or what a resumed run was meant to make)."""
    seed: int = 0
    """Decides everything that is random."""
    run_dir: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """Folder of the run (default: runs/ID-SEED)."""
    resume: bool = False
    """Go on with the run in that folder."""
    n_envs: int = 128
    """Worlds that move at once."""
    options: tuple[str, ...] = ()
    """Options of the environment, as name=value."""
    randomize: str | None = None
    """Domain randomization: a file that `Randomization.save` wrote."""
    previous: tuple[Literal["action", "reward"], ...] = ()
    """Observe the previous action and the previous reward, too (a policy with memory reads what it did anyway)."""
    observe: tuple[str, ...] = ()
    """Observe these keys of a Dict only."""
    adversary: float | None = None
    """Share of the episodes in which an adversary that learns where the robot fails chooses the hidden variables."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The policy."""
    ppo: PPOConfig = MANY_WORLDS
    """Hyperparameters of PPO."""
    expert: str | None = None
    """Imitate an expert first (DAgger): the scripted player that gathers information (heuristic), the policy of a run,
    or one over options (`embodied distill`)."""
    demonstrations: str | None = None
    """Clone the behavior in this folder (`embodied collect`) before reinforcement, or with --steps 0 alone."""
    cloning_epochs: int = 30
    """Passes over them."""
    start_from: str | None = None
    """Begin with the weights of this run's policy, or of the one that comes with an environment (Heft-v0), trained on
    the same observations and actions."""
    seeds: int = 1
    """Train this many seeds, one after the other, in subfolders of the run."""
    with_memoryless: bool = False
    """Also train, for each seed, the same network without memory."""
    guard: Literal["off", "warn", "restore"] = "warn"
    """When what was learned is lost: say so (warn), or go back to the best weights with half the learning rate."""
    threads: int = 0
    """Threads of physics and network (0: one per core)."""
    device: str = "cpu"
    """Where the network lives: cpu or cuda."""
    view: str | None = None
    """Watch it learn in Rerun: live (a window), web (a browser page), a file (.rrd), or the address of a viewer."""
    view_every: float = 15.0
    """Seconds from one episode that is shown to the next; curves are always shown."""
    ray: str | None = None
    """Run several seeds as Ray tasks: the address of a cluster whose machines share the run's folder, or `local`."""

    def run(self) -> None:
        """Trains one run, or a study of several."""
        load("training.study:train")(self)
