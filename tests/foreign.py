"""Tries robot files of others: `python tests/foreign.py FOLDER …` prints how many are shown as MuJoCo shows them."""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from pathlib import Path

from scene_oracle import differences

from embodied.errors import ModelError
from embodied.physics.loading import read_model

PRIVATE = re.compile(r"[^ ]*/[^ ]*|[0-9]+|'[^']*'")  # paths, names and numbers: what differs between alike reasons


def try_file(path: Path) -> str:
    """ "shown", why it is refused, or in what it is shown otherwise than by MuJoCo."""
    try:
        model = read_model(path)
    except ModelError as error:
        reason = PRIVATE.sub("…", str(error))
        return f"refused: {reason[:70]}"
    found = differences(model)
    return "shown" if not found else f"differs: {found[0]}"


def files_of(folder: Path) -> list[Path]:
    """All MJCF and URDF files below a folder."""
    return sorted(path for kind in ("*.xml", "*.urdf") for path in folder.rglob(kind))


def main() -> None:
    """Prints one line per folder, with the reasons for what is not shown."""
    warnings.simplefilter("ignore")
    print("| folder | files | shown as MuJoCo does | otherwise |\n|---|---|---|---|")
    for folder in map(Path, sys.argv[1:]):
        results = Counter(try_file(path) for path in files_of(folder))
        shown = results.pop("shown", 0)
        rest = "; ".join(f"{count} {what}" for what, count in results.most_common(12))
        print(f"| {folder.name} | {shown + results.total()} | {shown} | {rest or '–'} |", flush=True)


if __name__ == "__main__":
    main()
