"""`embodied train`: a transformer learns an environment."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from embodied.errors import CheckpointError, EmbodiedError, OptionError
from embodied_scripts.beginnings import start_of, study, teacher_of

if TYPE_CHECKING:
    from embodied.learn.ppo import SequencePPO
    from embodied.learn.run import RunFolder
    from embodied_scripts.draws import DrawsLog
    from embodied_scripts.live import Live

STEPS = 1_500_000
MEMORYLESS_CONTEXT = 1


@dataclass
class Train:
    """Train a transformer on an environment.

    Ctrl-C saves and stops; `--resume` goes on.
    """

    id: Annotated[str, tyro.conf.Positional]
    """Environment, with or without the prefix: Signpost-v0."""
    steps: int | None = None
    """Environment steps, over all worlds together (default: 1,500,000, or what a resumed run was meant to make)."""
    seed: int = 0
    """Decides everything that is random."""
    run_dir: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """Folder of the run (default: runs/ID-SEED)."""
    resume: bool = False
    """Go on with the run in that folder."""
    randomise: str | None = None
    """What differs from world to world: a file that `Randomisation.save` wrote."""
    adversary: float | None = None
    """Share of the episodes in which what is hidden is chosen by an adversary, which learns where the robot fails; the
    rest is drawn from the prior."""
    options: tuple[str, ...] = ()
    """Options of the environment, as name=value."""
    seeds: int = 1
    """Train this many seeds, one after the other, in subfolders of the run."""
    with_memoryless: bool = False
    """Also train, for each seed, the same network without memory."""
    core: Literal["transformer", "gru", "mlp"] = "transformer"
    """The network: a transformer, a gated recurrent unit, or one without memory."""
    layers: int = 2
    """Layers of the network."""
    width: int = 64
    """Width of the network."""
    context: int = 128
    """How many steps back the transformer remembers; 1 is no memory at all."""
    recall: tuple[Literal["action", "reward"], ...] = ()
    """Observe the action and the reward of the step before, too."""
    forecast: float = 0.0
    """Weight of predicting the next observation, as a lesson beside the reward."""
    curiosity: float = 0.0
    """Reward for what was predicted wrongly, in units of its spread; needs --forecast."""
    information: float = 0.0
    """Reward for every nat by which the policy's own belief about what is hidden becomes more certain."""
    shaping: bool = True
    """Add the signal of progress that the environment offers, which leaves the best policy the best."""
    guidance: float | None = None
    """Share of the training during which progress counts by itself and failures are forgiven, less and less: for tasks
    whose reward is hardly ever met by chance (default: what the task recommends)."""
    teacher: str | None = None
    """Begin with lessons: of the scripted player that finds out (curious), or of the policy of a run."""
    lessons: float = 0.3
    """Share of the training that lessons take, with --teacher."""
    reminders: float = 0.0
    """Weight of imitating the teacher after the lessons, beside reinforcement; fades until the end."""
    demonstrations: str | None = None
    """Imitate the episodes in this folder (`embodied record`) before learning from reward."""
    epochs: int = 30
    """How often they are gone through."""
    normalise: bool = False
    """Bring measurements to zero mean and unit spread, as they become known: for environments of others, whose bounds
    are often infinite or far wider than what occurs."""
    worlds: int = 128
    """Worlds that move at once."""
    rollout: int = 64
    """Steps per world between updates."""
    learning_rate: float = 5e-4
    """Of Adam, at the start; falls linearly to a tenth."""
    threads: int = 0
    """Threads of physics and network (0: one per core)."""
    device: str = "cpu"
    """Where the network lives: cpu or cuda."""
    bfloat16: bool = False
    """Calculate with 16 bits where that is safe; worth it on a GPU."""
    compile: bool = False
    """Fuse the network's operations with torch.compile; takes a minute and needs a C++ compiler."""
    start_from: str | None = None
    """Begin with the weights of this run's policy, trained on the same observations and actions."""
    view: str | None = None
    """Watch it learn in Rerun: live (a window), web (a browser page), a file that ends in .rrd, or the address of a
    viewer elsewhere. Closing the viewer does not stop the training."""
    view_every: float = 15.0
    """Seconds from one episode that is shown to the next; curves are always shown."""
    ray: str | None = None
    """Run the trainings of a study as Ray tasks: the address of a cluster whose machines share the run's folder, or
    `local`. A training whose worker dies goes on from its last checkpoint."""

    def run(self) -> None:
        """Trains one run, or a study of several."""
        from embodied_scripts.names import parse_options, resolve_id

        settings = replace(self, id=resolve_id(self.id))
        parse_options(self.options)
        if min(self.worlds, self.rollout, self.seeds) < 1 or (self.steps is not None and self.steps < 1):
            raise OptionError("steps, worlds, rollout and seeds must be at least 1")
        if self.with_memoryless and self.core != "transformer":
            raise OptionError("--with-memoryless is for a transformer; beside others, train --core mlp")
        if self.threads < 0:
            raise OptionError("threads must be at least 1, or 0 for one per core")
        if not self.view_every >= 0:
            raise OptionError(f"view_every must be 0 or more seconds, not {self.view_every}")
        if self.view is not None and (self.seeds > 1 or self.with_memoryless or self.ray is not None):
            raise OptionError("--view watches one training: leave out --seeds, --with-memoryless and --ray")
        if self.teacher is not None and self.recall:
            raise OptionError("a teacher sees what the robot sees: leave out --recall")
        if self.start_from is not None:
            plain = Train(id=self.id)
            decided = [f for f in ("core", "layers", "width", "context") if getattr(self, f) != getattr(plain, f)]
            if decided or self.with_memoryless:
                raise OptionError(
                    f"--start-from decides the network; leave out {', '.join(decided) or 'with_memoryless'}"
                )
        if self.teacher is not None and (Path(self.teacher) / "policy").is_dir():
            settings = replace(settings, teacher=str(Path(self.teacher).absolute()))
        given = {name: getattr(self, name) for name in ("start_from", "demonstrations", "randomise")}
        absolute: dict[str, Any] = {
            name: str(Path(path).absolute()) for name, path in given.items() if path is not None
        }
        settings = replace(settings, **absolute)
        name = settings.id.split("/")[-1]
        if self.seeds == 1 and not self.with_memoryless and self.ray is None:
            train_one(replace(settings, run_dir=self.run_dir or Path("runs") / f"{name}-{self.seed}"))
            return
        _train_study(replace(settings, run_dir=self.run_dir or Path("runs") / f"{name}-study"))


def _train_study(study: Train) -> None:
    """Trains every seed with and without memory; with `--resume`, goes on where it stopped."""
    runs = _runs_of(study)
    if study.ray is not None:
        _train_on_ray(runs, study.ray)
        return
    for run in runs:
        if not train_one(run):
            return


def _runs_of(study: Train) -> list[Train]:
    """The runs that a study is made of."""
    assert study.run_dir is not None
    contexts = {"memory": study.context} | ({"memoryless": MEMORYLESS_CONTEXT} if study.with_memoryless else {})
    runs = []
    for seed in range(study.seed, study.seed + study.seeds):
        for name, context in contexts.items():
            folder = study.run_dir / f"{name}-{seed}"
            resume = study.resume and (folder / "run.json").exists()
            runs.append(replace(study, seed=seed, context=context, run_dir=folder, resume=resume))
    return runs


def _train_on_ray(runs: list[Train], address: str) -> None:
    from rich.console import Console

    from embodied.learn.run import RunFolder
    from embodied_scripts.cluster import train_everywhere

    threads = max(1, runs[0].threads)
    jobs = [_jsonable(run) | {"run_dir": str(Path(str(run.run_dir)).absolute()), "threads": threads} for run in runs]
    for run in runs:
        RunFolder(Path(str(run.run_dir))).check_free(run.resume)
    failures = []
    for folder, error in train_everywhere(jobs, address, threads, gpus=int(runs[0].device.startswith("cuda"))):
        Console(soft_wrap=True).print(f"{folder}: {error or 'trained'}", markup=False, highlight=False)
        failures += [folder.name] if error else []
    if failures:
        raise EmbodiedError(f"{', '.join(failures)} failed; the others are saved")


def train_one(given: Train) -> bool:
    """Trains one run to its end; False if the person stopped it."""
    from rich.console import Console

    from embodied.learn.run import RunFolder

    assert given.run_dir is not None
    folder = RunFolder(given.run_dir)
    settings = _settings_of(folder, given) if given.resume else replace(given, steps=given.steps or STEPS)
    folder.check_free(given.resume)
    model = _build(settings)
    live = _watched(model, settings, folder)
    if given.resume:
        model.resume(folder.policy)
    else:
        study(model, settings)
        folder.begin(_jsonable(settings))
        model.save(folder.policy)
    model.set_logger(folder.logger())
    model.logger.output_formats.extend(one.writer() for one in live)
    Console().print(_size_of(model), highlight=False)
    finished = _learn(model, settings, folder, live)
    model.save(folder.policy)
    command = "embodied evaluate" if finished else f"embodied train {settings.id} --resume --run"
    said = f"{'Trained' if finished else 'Stopped'}; saved in {folder.path}. Next: {command} {folder.path}"
    Console(soft_wrap=True).print(said, markup=False, highlight=False)
    return finished


def _build(settings: Train) -> SequencePPO:
    import torch

    from embodied.learn.ppo import SequencePPO
    from embodied.learn.vec import make_vec
    from embodied.physics.threads import default_threads
    from embodied_scripts.names import parse_options

    threads = settings.threads or default_threads()
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise OptionError("--device is cuda, but torch finds no GPU here; known: cpu")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    options = parse_options(settings.options)
    if settings.id.startswith("embodied/"):
        options["threads"] = threads
        if settings.randomise is not None:
            options["randomise"] = settings.randomise
        if settings.adversary is not None:
            options["adversary"] = settings.adversary
    elif settings.randomise is not None or settings.adversary is not None:
        raise OptionError("--randomise and --adversary need an environment of this project")
    env = make_vec(settings.id, settings.worlds, **options)
    start = settings.learning_rate
    context = {"context": settings.context} if settings.core == "transformer" else {}
    start_policy = start_of(settings)
    return SequencePPO(
        start_policy or policy_class(settings.core),
        env,
        learning_rate=lambda left: start * (0.1 + 0.9 * left),
        n_steps=settings.rollout,
        minibatches=max(1, settings.worlds // 8),
        recall=settings.recall,
        forecast_coef=settings.forecast,
        curiosity_coef=settings.curiosity,
        information_coef=settings.information,
        shaping=settings.shaping,
        guidance=settings.guidance,
        teacher=None if settings.teacher is None else teacher_of(settings.teacher, env),
        lessons=settings.lessons,
        reminders=settings.reminders,
        policy_kwargs={"layers": settings.layers, "width": settings.width} | context if start_policy is None else {},
        seed=settings.seed,
        device=settings.device,
        normalise=settings.normalise,
        bfloat16=settings.bfloat16,
        compile=settings.compile,
    )


def _size_of(model: SequencePPO) -> str:
    from embodied.learn.resources import footprint

    weights = sum(p.numel() for p in model.policy.parameters())
    held = sum(footprint(model).values()) / 2**20
    return f"{weights:,} weights, {model.n_envs} worlds × {model.n_steps} steps: holds {held:,.0f} MB while it learns"


def policy_class(core: str) -> Any:
    """The policy whose core has that name."""
    from embodied_policies import GRUPolicy, MLPPolicy, TransformerPolicy

    return {"transformer": TransformerPolicy, "gru": GRUPolicy, "mlp": MLPPolicy}[core]


def _learn(model: SequencePPO, settings: Train, folder: RunFolder, watching: list[Live]) -> bool:
    """Trains to the end, with progress and checkpoints; False if the person stopped it."""
    from embodied_scripts.progress import Checkpoints, Progress, Stop, on_interrupt

    assert settings.steps is not None
    left = settings.steps - model.num_timesteps
    if left <= 0:
        return True
    stop = Stop()
    try:
        with on_interrupt(stop.request), Progress(settings.steps, str(folder.path)) as progress:
            model.learn(
                left,
                callback=[stop, progress, Checkpoints(folder.policy), *_draws(model, folder), *watching],
                reset_num_timesteps=False,
            )
    finally:
        for live in watching:
            live.close()
    return model.num_timesteps >= settings.steps


def _draws(model: SequencePPO, folder: RunFolder) -> list[DrawsLog]:
    """What writes down what each world was given, if worlds differ."""
    from embodied_scripts.draws import DrawsLog

    worlds = getattr(model.env, "gym_env", None)
    names = getattr(getattr(worlds, "unwrapped", None), "drawn_names", ())
    return [DrawsLog(folder.path / "draws.csv", names)] if names else []


def _watched(model: SequencePPO, settings: Train, folder: RunFolder) -> list[Live]:
    """The view that was asked for, if one was."""
    if settings.view is None:
        return []
    from rich.console import Console

    from embodied_scripts.live import Live

    live = Live(settings.view, model, f"{settings.id}: {folder.path}", settings.view_every)
    if live.url:
        Console(soft_wrap=True).print(f"Open {live.url}", highlight=False)
    return [live]


def _settings_of(folder: RunFolder, given: Train) -> Train:
    """Returns the settings with which a run began; only the number of steps may be another.

    Raises:
        CheckpointError: the folder holds no such run.
        OptionError: settings were given that the run does not have.
    """
    saved = folder.settings()
    try:
        begun = replace(Train(id=saved["id"]), **saved | {name: tuple(saved[name]) for name in ("options", "recall")})
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"the settings in {folder.path} are of another version: {error}") from error
    if begun.id != given.id:
        raise CheckpointError(f"{folder.path} is a run of {begun.id}, not of {given.id}")
    plain, wanted, had = (asdict(train) for train in (Train(id=given.id), given, begun))
    for name in _jsonable(begun).keys() - {"steps"}:
        if wanted[name] not in (plain[name], had[name]):
            raise OptionError(f"{folder.path} was begun with {name} = {had[name]!r}, which --resume cannot change")
    kept = {name: getattr(given, name) for name in ("view", "view_every")}
    return replace(begun, run_dir=folder.path, resume=True, steps=given.steps or begun.steps, **kept)


def _jsonable(settings: Train) -> dict[str, Any]:
    own = {"run_dir", "resume", "seeds", "with_memoryless", "ray", "view", "view_every"}
    return {key: value for key, value in asdict(settings).items() if key not in own}
