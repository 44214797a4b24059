"""An artifact checked against its records and signature."""

from __future__ import annotations

from rich.console import Console

from embodied.lineage.content import name_of, records_of
from embodied.lineage.line import Line
from embodied.lineage.record import Activity
from embodied.lineage.trust import Trust
from embodied_scripts.cli.lineage import Verify
from embodied_scripts.lineage.artifacts import artifact_at, line_at, printable


def verify_artifact(asked: Verify) -> None:
    """Checks, and says what was checked.

    Raises:
        LineageError: something does not hold.
    """
    path = artifact_at(asked.artifact)
    console = Console(soft_wrap=True)
    release = None if asked.trust is None else Trust.load(asked.trust, asked.name).verify(path, asked.role)
    if release is None or records_of(path).is_file():
        _, line = line_at(asked.artifact)
        line.check(path)
        about = f"{name_of(path)} is what its record speaks of ({line.record.sha256[:12]}).\n{_told(line)}"
    else:
        about = f"Nothing is recorded of the origin of {name_of(path)}."
    console.print(printable(about), markup=False, highlight=False)
    signed = "Nobody's signature was asked for: --trust FILE does."
    if release is not None:
        signed = (
            f"Signed for {release.role} as {release.name} {release.version} (counter {release.counter}), by whom "
            f"{asked.trust} trusts with that; nothing in its line was revoked."
        )
    console.print(printable(signed), markup=False, highlight=False)


def _told(line: Line) -> str:
    """How far the line leads back."""
    records = [*line.records]
    begins = [f"{one.name} ({one.role})" for one in line.sources]
    seeds = sorted({seed for record in records for seed in record.origin.activity.seeds})
    known = {_code(record.origin.activity) for record in records} - {None}
    parts = [f"{len(records)} {'record' if len(records) == 1 else 'records'}, none missing"]
    parts.append(f"it begins with {', '.join(begins)}" if begins else "nothing else is recorded that it was made from")
    if seeds:
        parts.append(f"seeds {', '.join(map(str, seeds))}")
    parts.append(f"code {', '.join(sorted(filter(None, known)))}" if known else "of which code was not recorded")
    return "; ".join(parts) + "."


def _code(did: Activity) -> str | None:
    if did.code is None:
        return None
    if did.code.revision is None:
        return f"sources {did.code.sources[:12]}"
    return did.code.revision[:12] + (" with changes" if did.code.dirty else "")
