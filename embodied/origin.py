"""Where something comes from: code, versions of packages, hardware, person and time."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import msgspec

LIBRARIES = ("embodied-sim2real", "mujoco", "gymnasium", "stable-baselines3", "torch", "numpy")
PACKAGES = ("embodied", "embodied_envs", "embodied_policies", "embodied_assets", "embodied_scripts")
NOT_CODE = {".safetensors", ".md", ".jsonl"}
AGENT = "EMBODIED_AGENT"  # who is said to have made something, where it is not the user who is logged in


class Code(msgspec.Struct, frozen=True):
    """The code that ran.

    Attributes:
        revision: of git; None where it was not run from a clone.
        dirty: whether files differed from that revision.
        sources: SHA-256 of the packages' files, which tells whether the code is the same with or without git.
    """

    revision: str | None
    dirty: bool
    sources: str


class Hardware(msgspec.Struct, frozen=True):
    """The machine that it ran on."""

    system: str
    machine: str
    processor: str
    cores: int


def code(packages: Sequence[str] = PACKAGES) -> Code:
    """The code of these packages, as it is on disk now."""
    described = git_revision()
    if described is None:
        return Code(None, False, _sources(packages))
    return Code(_git("rev-parse", "HEAD"), described.endswith("-dirty"), _sources(packages))


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries on which results depend, by name."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> Hardware:
    """The machine that this runs on."""
    return Hardware(platform.system(), platform.machine(), _processor(), os.cpu_count() or 1)


def agent() -> str:
    """Who runs this: what the environment variable `EMBODIED_AGENT` says, else the user who is logged in."""
    try:
        return os.environ.get(AGENT) or getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name
        return "unknown"


def now() -> str:
    """The time in UTC, as ISO 8601 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def git_revision() -> str | None:
    """How git describes the clone that this runs from; None where it is installed, if only below somebody's clone."""
    tracked = _git("ls-files", "--error-unmatch", Path(__file__).name)
    return None if tracked is None else _git("describe", "--always", "--dirty")


def _git(*command: str) -> str | None:
    whole = ["git", "-C", str(Path(__file__).parent), *command]
    try:
        return subprocess.run(whole, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _sources(packages: Sequence[str]) -> str:
    """The SHA-256 of names and contents of all files of code, robots and settings."""
    digest = hashlib.sha256()
    for package in packages:
        for path in _files_of(package):
            digest.update(f"{package}/{path[0]}\0{hashlib.sha256(path[1].read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _files_of(package: str) -> list[tuple[str, Path]]:
    try:
        spec = find_spec(package.partition(".")[0])
    except (ImportError, ValueError):  # made at run time
        spec = None
    if spec is None:
        return []
    if not spec.submodule_search_locations:
        return [(package, Path(spec.origin))] if spec.origin and Path(spec.origin).is_file() else []
    root = Path(next(iter(spec.submodule_search_locations)))
    files = (p for p in root.rglob("*") if p.is_file() and p.suffix not in NOT_CODE and "__pycache__" not in p.parts)
    return sorted((path.relative_to(root).as_posix(), path) for path in files)


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
