"""The `embodied` command in a process of its own, forked from one that has imported what commands import."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from embodied_scripts.cli.main import main

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["embodied_scripts.training.run", "embodied_scripts.show.live_play", "embodied_scripts.show.evaluation"]
)


def embodied(*arguments: object, cwd: Path | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs `embodied ARGUMENTS` and returns what it printed and its exit code."""
    given = [str(one) for one in arguments]
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = processes.Process(target=_run, args=(given, cwd, out, err))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(given, timeout, out.read_text(), err.read_text())
        assert process.exitcode is not None
        return subprocess.CompletedProcess(given, process.exitcode, out.read_text(), err.read_text())


def _run(arguments: list[str], cwd: Path | None, out: Path, err: Path) -> None:
    os.environ["COLUMNS"] = "160"
    os.chdir(cwd or os.getcwd())
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    try:
        main(arguments)
    finally:
        atexit._run_exitfuncs()
