"""Randomness with an owner: every draw is a pure function of (world seed, episode, stream name, step).

A batch of N worlds draws for all of them at once, and world `i` gets the very bits that it would get alone.
The generator is counter-based (the SplitMix64 finalizer of Steele, Lea & Flood 2014 applied to a key and a
counter), so there is no state to save but the keys, and no draw depends on how many came before it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Worlds = NDArray[np.intp] | slice
ALL: slice = slice(None)


def grid(worlds: Worlds, columns: NDArray[np.intp]) -> tuple:
    """Index of some columns in some worlds."""
    return (worlds, columns) if isinstance(worlds, slice) else (worlds[:, None], columns)


GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: the steps of a Weyl sequence
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_LOW_32 = np.uint64(0xFFFFFFFF)
_UNIT_32 = 2.0**-32
_ONE = np.uint64(1)
_S27, _S30, _S31, _S32 = (np.uint64(bits) for bits in (27, 30, 31, 32))


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scrambles 64-bit integers so that neighbors share nothing (SplitMix64 finalizer)."""
    x = (x ^ (x >> _S30)) * _MIX_1
    x = (x ^ (x >> _S27)) * _MIX_2
    return x ^ (x >> _S31)


def stream_key(name: str) -> np.uint64:
    """Returns the 64-bit key of a stream name; the same on every machine and in every process."""
    data = name.encode()
    return np.uint64(zlib.crc32(data) << 32 | zlib.adler32(data))


@dataclass(slots=True, frozen=True)
class Draws:
    """What an agent draws in `n` worlds, each from a key of its own: none depends on what others draw.

    Attributes:
        keys, step: of each world, and how often was drawn in it, `(n,)`.
    """

    keys: NDArray[np.uint64]
    step: NDArray[np.uint64]

    @classmethod
    def begin(cls, n: int, seed: int) -> Draws:
        """World i draws as the only world of seed `seed + i` does."""
        return cls(mix(np.arange(n, dtype=np.uint64) + np.uint64(seed % 2**64) + GOLDEN), np.zeros(n, np.uint64))

    def uniforms(self, size: int) -> tuple[Draws, NDArray[np.float64]]:
        """What is drawn from afterwards, and uniforms on [0, 1), `(n, size)`."""
        names = mix(np.arange(1, size + 1, dtype=np.uint64) * GOLDEN)
        bits = mix(mix(self.keys + (self.step + _ONE) * GOLDEN)[:, None] ^ names)
        return Draws(self.keys, self.step + _ONE), as_uniforms(bits)[0]


def spawn(seed: int, name: str) -> np.random.Generator:
    """Returns an independent generator for `name`, for what is drawn once per process and not per world."""
    return np.random.default_rng([seed, int(stream_key(name))])


@dataclass(slots=True)
class WorldStreams:
    """The random streams of `n` worlds."""

    n: int
    seeds: NDArray[np.uint64] = field(init=False)
    episodes: NDArray[np.uint64] = field(init=False)
    keys: NDArray[np.uint64] = field(init=False)

    def __post_init__(self) -> None:
        self.seeds = np.arange(self.n, dtype=np.uint64)
        self.episodes = np.zeros(self.n, np.uint64)
        self.keys = np.zeros(self.n, np.uint64)

    def seed(self, seed: int, worlds: Worlds = ALL) -> None:
        """Gives world `i` the seed `seed + i`, and puts these worlds before their first episode."""
        self.seeds[worlds] = np.arange(self.n, dtype=np.uint64)[worlds] + np.uint64(seed % 2**64)
        self.episodes[worlds] = 0

    def begin(self, worlds: Worlds = ALL) -> None:
        """Moves `worlds` on to their next episode."""
        self.episodes[worlds] += np.uint64(1)
        self.keys[worlds] = mix(mix(self.seeds[worlds] + GOLDEN) + self.episodes[worlds] * GOLDEN)

    def fork(self, numbers: NDArray[np.uint64], worlds: Worlds = ALL) -> None:
        """Gives `worlds` noise of their own from now on, by a number for each, even if they were the same so far."""
        self.keys[worlds] = mix(self.keys[worlds] + mix(numbers + GOLDEN))

    def stream(self, *names: tuple[str, int]) -> Stream:
        """Returns a stream that draws, at once, `size` values for each `(name, size)`.

        The values of a name do not depend on which others are drawn beside it.
        """
        keys = [mix(stream_key(name) + np.arange(size, dtype=np.uint64) * GOLDEN) for name, size in names]
        return Stream(self, np.concatenate([np.zeros(0, np.uint64), *keys]))


@dataclass(slots=True, frozen=True)
class Stream:
    """Draws of one or more names, indexed by a step counter; `names (size,)` are their keys."""

    owner: WorldStreams
    names: NDArray[np.uint64]

    def select(self, index: int | slice | NDArray[np.intp]) -> Stream:
        """Returns the stream of some names alone; their draws stay what they are."""
        return Stream(self.owner, np.atleast_1d(self.names[index]))

    def bits(self, step: ArrayLike, worlds: Worlds = ALL) -> NDArray[np.uint64]:
        """Returns 64 random bits per value, `(n, …, size)`, for step numbers `step` (scalar or `(n, …)`)."""
        counter = np.atleast_1d(np.asarray(step, np.uint64))
        keys = self.owner.keys[worlds].reshape(-1, *[1] * (counter.ndim - 1))
        return mix(mix(keys + (counter + _ONE) * GOLDEN)[..., None] ^ self.names)

    def bits_each(self, step: NDArray, worlds: Worlds = ALL) -> NDArray[np.uint64]:
        """Returns 64 random bits for each of `step (n, …, size)`, whose last axis are the names."""
        keys = self.owner.keys[worlds].reshape(-1, *[1] * (step.ndim - 1))
        return mix(mix(keys + (step.astype(np.uint64) + _ONE) * GOLDEN) ^ self.names)

    def uniform(
        self, step: ArrayLike, low: float = 0.0, high: float = 1.0, worlds: Worlds = ALL
    ) -> NDArray[np.float64]:
        """Returns uniforms on [low, high), `(n, size)`."""
        return low + (high - low) * as_uniforms(self.bits(step, worlds))[0]


def as_uniforms(bits: NDArray[np.uint64]) -> tuple[NDArray, NDArray]:
    """Turns 64 random bits into two independent uniforms on [0, 1)."""
    return (bits >> _S32) * _UNIT_32, (bits & _LOW_32) * _UNIT_32


def as_normal(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Turns 64 random bits into a standard normal (Box & Muller 1958)."""
    u, v = as_uniforms(bits)
    return np.sqrt(-2.0 * np.log(u + 0.5 * _UNIT_32)) * np.cos(2.0 * np.pi * v)


def quick_normal(bits: NDArray[np.uint64], size: int) -> NDArray[np.float32]:
    """Turns random bits `(…, ⌈size / 4⌉)` into `size` standard normals, four of 16 bits each, for noise of pixels.

    Inverse of the normal distribution at the middles of 2¹⁶ equal shares: exact in mean and variance to 1e-4, and
    bounded by 4.3.
    """
    index = np.ascontiguousarray(bits).view(np.uint16)[..., :size]
    return _quantiles()[index]


@cache
def _quantiles() -> NDArray[np.float32]:
    inverse = NormalDist().inv_cdf
    half = np.array([inverse((k + 0.5) / 2**16) for k in range(2**15)], np.float32)
    return np.concatenate([half, -half[::-1]])
