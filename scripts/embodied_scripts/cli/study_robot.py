"""`embodied study faults` and `embodied study realtime`: a policy on a twin, in trouble and in time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embodied_scripts.cli.lazy import load


@dataclass
class FaultsOf:
    """Pull the cable, kill a servo, corrupt packets, hang the policy …, and watch whether the arm comes to rest."""

    policy: str = "Feel-v0"
    """A run, or an environment with a policy."""

    def run(self) -> None:
        """Prints the table."""
        load("studies.deployment.robot_faults:run")(self.policy)


@dataclass
class RealTime:
    """Run an exported policy on a twin in real time, and measure how late its decisions are."""

    policy: str = "Feel-v0"
    """An environment with a policy."""
    seconds: float = 600.0
    """For how long."""
    hz: float = 50.0
    """Decisions per second."""
    camera: bool = False
    """The policy sees the pictures of the wrist's camera, by OpenCV; it is one that has hardly learned."""

    def run(self) -> None:
        """Prints what was measured."""
        load("studies.deployment.real_time:run")(self.policy, self.seconds, self.hz, self.camera)


@dataclass
class Bodies:
    """Play a policy on twins with bodies that nobody declared, faster than in real time."""

    policy: str = "Feel-v0"
    """A run, or an environment with a policy."""
    twins: int = 10
    """How many bodies are drawn."""
    episodes: int = 20
    """Episodes on each."""
    out: Path | None = None
    """Also write the rows there, as JSON."""

    def run(self) -> None:
        """Prints the table."""
        load("studies.deployment.strange_bodies:run")(self.policy, self.twins, self.episodes, self.out)
