"""An environment of this project as a plant: its robot gets the commands of a recording again.

Shape suffixes: K candidates, R recordings, W = K·R worlds, T instants, S columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.physics.targets import check_single, derive_if_needed
from embodied.randomization.apply import Place, places_of
from embodied.world.env import BatchEnv

NOISES = (
    "noise",
    "noise_density",
    "bias",
    "scale",
    "drift",
    "random_walk",
    "misread",
    "dropout",
    "frame_dropout",
    "jitter_s",
)


class Recorded(Protocol):
    """What is needed of a recording."""

    @property
    def command(self) -> NDArray[np.float64]:
        """`(T, nu)`."""

    def signal(self, name: str) -> NDArray[np.float64]:
        """`(T, K)`."""

    def __len__(self) -> int: ...


class ReplayPlant:
    """Fits the declared parameters of a body, such as `*_motor/resistance`, and quantities of the model, to recordings.

    Recordings begin where episodes begin, at rest, and their instants are decisions (see `embodied.sysid.Recorder`).
    Noise, bias and jitter are left out of the simulation: what a sensor shows on average is compared. Where the robot
    stood is not known: it should not have met walls or things.

    Args:
        make: makes the environment with so many worlds, without autoreset in the same step.
        scales: channels that are compared, and the error of each that counts as one.
        seed: where the robots stand.

    Raises:
        OptionError: no channels, or an environment that resets itself at once.
        UnknownNameError: there is no such channel.
    """

    def __init__(self, make: Callable[[int], BatchEnv], scales: Mapping[str, float], seed: int = 0) -> None:
        if not scales or not min(scales.values()) > 0:
            raise OptionError("name at least one channel to compare, with a positive scale")
        self._make, self._scales, self._seed = make, dict(scales), seed
        self._envs: dict[int, BatchEnv] = {}
        self._touched: dict[int, dict[str, Place]] = {}
        self._declared = make(1)  # never simulated
        if self._declared.metadata["autoreset_mode"].value == "SameStep":
            raise OptionError("the environment of a plant must not reset itself in the same step")
        layout = self._declared.layout
        self._rows = np.concatenate([np.arange(layout.size)[layout.slice(name)] for name in scales])
        sizes = {name: len(range(*layout.slice(name).indices(layout.size))) for name in scales}
        self._units = np.concatenate([np.full(sizes[name], scale) for name, scale in scales.items()])
        self.columns = tuple(f"{name}[{k}]" for name, size in sizes.items() for k in range(size))

    def expand(self, pattern: str) -> list[str]:
        """Names of the parameters that a pattern means; raises UnknownNameError if it means none."""
        places = places_of(pattern, self._declared.batch, self._declared.bodies)
        for place in places:
            if place.target is not None:  # both wheels share what is declared of a sensor of the body
                check_single(place.name, len(place.nominal))
        return [place.name for place in places]

    def start(self, name: str) -> float:
        """What the body, or the model, was declared with."""
        return float(places_of(name, self._declared.batch, self._declared.bodies)[0].nominal.mean())

    def measured(self, recording: Recorded) -> NDArray[np.float64]:
        """What was sensed, in units of the scales, `(T, S)`."""
        return np.concatenate([recording.signal(name) for name in self._scales], axis=1) / self._units

    def simulate(self, values: Mapping[str, NDArray], recordings: Sequence[Recorded]) -> list[NDArray[np.float64]]:
        """What would be sensed, in units of the scales, `(K, T, S)` for each recording."""
        K, R = len(next(iter(values.values()))) if values else 1, len(recordings)
        env = self._env(K * R)
        self._write(env, {name: np.repeat(np.asarray(value, float), R) for name, value in values.items()})
        longest = max(map(len, recordings))
        seen_WTS = np.empty((K * R, longest, len(self._rows)))
        obs = self._reset(env, K, R)
        over = np.zeros(K * R, bool)
        for t in range(longest):
            seen_WTS[:, t] = (
                obs[:, self._rows] if t == 0 else np.where(over[:, None], seen_WTS[:, t - 1], obs[:, self._rows])
            )
            commands = np.stack([recording.command[min(t, len(recording) - 1)] for recording in recordings])
            obs, _, terminated, truncated, _ = env.step(np.tile(commands, (K, 1)))
            over |= terminated | truncated
        return [seen_WTS[r::R, : len(recording)] / self._units for r, recording in enumerate(recordings)]

    def _reset(self, env: BatchEnv, K: int, R: int) -> NDArray:
        """Begins with every candidate's robot of a recording at the same place."""
        env.reset(seed=self._seed)
        env.streams.seeds[:] = np.tile(np.arange(R, dtype=np.uint64) + np.uint64(self._seed), K)
        env.streams.episodes[:] = 0
        return env.reset()[0]

    def _env(self, worlds: int) -> BatchEnv:
        if worlds not in self._envs:
            env = self._make(worlds)
            for body in env.bodies:
                for name in body.parameter_names():
                    if name.rpartition("/")[2] in NOISES:
                        body.parameter(name)[:] = 0.0
            self._envs[worlds], self._touched[worlds] = env, {}
            while len(self._envs) > 3:  # the best, its neighbors, and one more
                oldest = next(iter(self._envs))
                self._envs.pop(oldest).close()
                self._touched.pop(oldest)
        return self._envs[worlds]

    def _write(self, env: BatchEnv, values: Mapping[str, NDArray]) -> None:
        """Gives worlds these values, and everything that was written before what was declared."""
        touched, everyone = self._touched[env.num_envs], np.arange(env.num_envs)
        for name in values:
            if name not in touched:
                touched[name] = places_of(name, env.batch, env.bodies)[0]
        for place in touched.values():
            place.write(np.tile(place.nominal, (env.num_envs, 1)), everyone)
        for name, value in values.items():
            place = touched[name]
            place.write(np.broadcast_to(np.asarray(value)[:, None], (env.num_envs, len(place.nominal))), everyone)
        derive_if_needed(env.batch, [place.target for place in touched.values() if place.target is not None])
