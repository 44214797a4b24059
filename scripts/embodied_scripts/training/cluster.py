"""Trainings as Ray tasks: on this machine's cores or on a cluster whose machines share the folder of the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from embodied.extras import advice
from embodied_scripts.training.run import from_jsonable, train_to_end

LOCAL = "local"
RETRIES = 3


def train_everywhere(
    jobs: list[dict[str, Any]], address: str, threads: int, gpus: int = 0
) -> Iterator[tuple[Path, str | None]]:
    """Runs trainings at once, as many as there are cores, and yields each one's folder and error as they end.

    A training whose worker dies is begun again, up to three times, and goes on from its last checkpoint.

    Args:
        jobs: settings of `Train` as JSON holds them, with `run_dir`.
        address: of a Ray cluster, or "local" to start one here.
        threads, gpus: cores and graphics cards that each training takes.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    with advice():
        import ray
    ray.init(address=None if address == LOCAL else address, log_to_driver=False, include_dashboard=False)
    try:
        remote = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=RETRIES, max_calls=1)(train_or_go_on)
        waiting = {remote.remote(job): Path(job["run_dir"]) for job in jobs}
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            folder = waiting.pop(done)
            try:
                ray.get(done)
                yield folder, None
            except ray.exceptions.RayError as error:
                yield folder, str(error).strip().splitlines()[-1]
    finally:
        ray.shutdown()


def train_or_go_on(job: dict[str, Any]) -> None:
    """Makes one training to its end, from its last checkpoint if there is one; runs on a worker."""
    folder = Path(job["run_dir"])
    settings = from_jsonable({name: value for name, value in job.items() if name != "run_dir"}, str(folder))
    train_to_end(replace(settings, run_dir=folder))
