"""A policy on bodies that nobody declared: success on twins that were drawn, in the twins' own time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from embodied.deploy.clock import SteppedClock
from embodied.deploy.loop import Loop
from embodied.deploy.supervision import Supervision
from embodied.deploy.twin.direct import DirectBus
from embodied_scripts.deploying.players import Player, player_of
from embodied_scripts.deploying.robots import so101_arm
from embodied_scripts.deploying.twins import TwinOptions, make_servos

PATIENT = Supervision(patience_s=60.0, stale_s=1.0)  # pressing and gripping strain an arm


def run(policy: str, twins: int, episodes: int, out: Path | None) -> None:
    """Plays, and prints a table with a row per twin; the first is the declared body."""
    player = player_of(policy)
    rows = [on_twin(player, seed, episodes) for seed in track([None, *range(twins)], description=policy)]
    table = Table("twin", "success", "episode [s]", "ended otherwise", title=player.name)
    for row in rows:
        wrong = ", ".join(sorted(set(row["troubles"])))
        table.add_row(row["twin"], f"{row['successes']} of {episodes}", f"{row['seconds']:.1f}", wrong)
    strange = np.array([row["successes"] for row in rows[1:]])
    share, error = strange.mean() / episodes, strange.std(ddof=1) / episodes / np.sqrt(max(len(strange), 1))
    console = Console(width=120)
    console.print(table)
    console.print(
        f"{len(strange)} strange bodies: {100 * share:.1f} ± {100 * error:.1f} % (standard error over bodies)"
    )
    if out is not None:
        out.write_text(json.dumps(rows, indent=1))


def on_twin(player: Player, mystery: int | None, episodes: int) -> dict[str, Any]:
    """Episodes of a policy on one twin."""
    bus, table = make_servos(TwinOptions(task=player.name, mystery=mystery))
    assert table is not None
    clock = SteppedClock(bus)
    successes, seconds, troubles = 0, 0.0, []
    arm = so101_arm("simulated", opened=lambda: DirectBus(bus), now=clock.now)
    arm.connect()
    for episode in range(episodes):
        table.begin(10_000 + episode)
        loop = Loop(arm, player.agent, player.contract, player.control, limits=PATIENT, clock=clock)

        def look(entry: dict[str, Any], loop: Loop = loop) -> None:
            table.watch()
            if table.over:
                loop.stop("the episode is over")

        loop.watch = look
        began = clock.now()
        report = loop.run(player.env.task.episode_s, seed=episode)
        table.watch()
        successes += table.success
        seconds += clock.now() - began
        if report.ended not in ("the episode is over", "its time is over"):
            troubles.append(report.ended)
        arm.relax()
        clock.sleep_until(clock.now() + 0.05)
    name = "as declared" if mystery is None else f"mystery {mystery}"
    return {"twin": name, "successes": int(successes), "seconds": seconds / episodes, "troubles": troubles}
