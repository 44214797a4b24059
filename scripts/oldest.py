"""Prints the oldest version that `pyproject.toml` allows of each dependency of some extras, as pip's constraints."""

import re
import sys
import tomllib
from pathlib import Path

KEPT = {"torch"}  # its oldest builds for processors are on no package index


def main(extras: list[str]) -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    for one in wanted:
        found = re.match(r"([\w.-]+)>=([\d.]+)", one)
        if found and found[1] not in KEPT:
            print(f"{found[1]}=={found[2]}")


if __name__ == "__main__":
    main(sys.argv[1:])
