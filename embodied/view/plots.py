"""What is drawn of a training: the plots, and the curves in each."""

from __future__ import annotations

PLOTS: dict[str, dict[str, tuple[int, int, int]]] = {
    "return": {"return": (60, 160, 90)},
    "success and belief": {"success": (31, 107, 219), "belief bits": (200, 130, 40)},
    "exploration": {"entropy loss": (120, 90, 170), "approx kl": (219, 51, 46)},
    "critic": {"value loss": (90, 90, 90), "explained variance": (60, 140, 140)},
    "speed": {"steps per second": (142, 152, 168)},
}


def origin_of(plot: str) -> str:
    """Where the curves of a plot are logged."""
    return f"curves/{plot.replace(' ', '_')}"


def path_of(plot: str, curve: str) -> str:
    """Where a curve is logged."""
    return f"{origin_of(plot)}/{curve.replace(' ', '_')}"
