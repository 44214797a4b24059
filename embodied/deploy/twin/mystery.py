"""Bodies that nobody declared: other gains, friction, play, weights, a soft mount, another latency."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from embodied.deploy.twin.body import BodyTruth, TwinBody


def mystery(body: TwinBody, seed: int) -> BodyTruth:
    """Draws what a body really is, around what this one was declared to be.

    What all servos of a kit share differs by up to a factor of two; what one servo has of its own, by a tenth.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0x7419,)))
    n, declared = len(body.joints), body.truth

    def shared(low: float, high: float) -> np.ndarray:
        """A factor, evenly drawn in its logarithm, with a tenth of its own for each joint."""
        return np.exp(rng.uniform(np.log(low), np.log(high)) + rng.normal(0.0, 0.1, n))

    return replace(
        declared,
        duty_per_count=np.asarray(declared.duty_per_count) * shared(0.6, 1.6),
        viscous=body.viscous * shared(0.5, 2.0),
        friction=body.dry_friction * shared(0.5, 2.0),
        load_friction=rng.uniform(0.05, 0.4) * shared(1.0, 1.0),
        back_load_friction=rng.uniform(0.1, 0.7) * shared(1.0, 1.0),
        armature=body.armature * shared(0.5, 2.0),
        backlash=rng.uniform(0.002, 0.015) * shared(1.0, 1.0),
        offset=rng.normal(0.0, 0.01, n),
        latency_s=rng.uniform(0.005, 0.04),
        jitter_s=rng.uniform(0.0, 0.003),
        supply=rng.uniform(11.0, 12.6),
        supply_resistance=rng.uniform(0.1, 0.5),
        payload=rng.uniform(0.0, 0.08),
        mount=float(np.exp(rng.uniform(np.log(60.0), np.log(600.0)))),
    )
