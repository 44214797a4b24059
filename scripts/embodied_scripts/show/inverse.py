"""Masses and friction from torques, printed and written."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from embodied.errors import OptionError
from embodied.nn.checkpoint import save_json
from embodied.physics.loading import packages_of
from embodied.sysid.inverse import Inverse, identify_inverse
from embodied.sysid.inverse.regressor import FRICTION
from embodied_scripts.cli.identify import Identify
from embodied_scripts.records import begun, identified_from
from embodied_scripts.show.identification import loaded


def identify(asked: Identify) -> None:
    """Finds, prints, and writes the result."""
    if asked.find or asked.held_out or asked.friction != ("coulomb",):
        raise OptionError("--inverse finds masses and friction at once: leave out --find, --held-out and --friction")
    making = begun("identify", asked, identified_from(asked))
    bench, console = asked.bench, Console(soft_wrap=True)
    recordings = [one for _, one in loaded(asked.recordings, bench.map)]
    found = identify_inverse(
        bench.model, bench.joints, recordings, torque=asked.torque, payload=asked.payload, cutoff_hz=asked.cutoff,
        packages=packages_of(bench.package),
    )  # fmt: skip
    console.print(_bodies(found))
    console.print(_joints(found))
    told, all_of_them = len(found.base_names), found.parameters.size + found.friction.size
    console.print(
        f"Torques tell {told} numbers, combinations of these {all_of_them}; the rest is "
        "as in the model, or next to it such that every body can exist.",
        highlight=False,
    )
    save_json(asked.out, found.jsonable())
    making.finish(asked.out)
    console.print(f"Wrote {asked.out}", highlight=False)


def _bodies(found: Inverse) -> Table:
    title = "payload" if found.is_payload else "bodies"
    table = Table("body", "mass [kg]", "center of mass [m]", "moments of inertia about it [kg·m²]", title=title)
    for name, mass, center, inertia in zip(found.bodies, found.mass, found.center, found.inertia, strict=True):
        moments = np.linalg.eigvalsh(inertia)
        table.add_row(escape(name), f"{mass:.4g}", *(", ".join(f"{x:.4g}" for x in row) for row in (center, moments)))
    return table


def _joints(found: Inverse) -> Table:
    table = Table("joint", *FRICTION, "torque not explained, before", "after", title="joints")
    for name, row, errors in zip(found.joints, found.friction, found.errors.T, strict=True):
        table.add_row(escape(name), *(f"{number:.4g}" for number in (*row, *errors)))
    return table
