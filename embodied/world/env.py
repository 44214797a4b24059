"""A task in N worlds as a native Gymnasium vector environment."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from embodied.errors import CheckpointError, NotResetError, OptionError, WorldFailureWarning
from embodied.layout import joined
from embodied.physics.batch import Batch
from embodied.physics.loading import compile_spec
from embodied.physics.render import WorldRenderer
from embodied.physics.targets import prepare
from embodied.randomization.adversary import Adversary
from embodied.randomization.apply import Randomizer
from embodied.randomization.spec import Randomization
from embodied.robot.batched import BatchedRobot, advance, whole_ticks
from embodied.seeding import WorldStreams
from embodied.world.checks import checked_actions, checked_autoreset_mode, checked_draw, numbers_only, worlds_of_mask
from embodied.world.contract import contract_of
from embodied.world.observation import form_of
from embodied.world.state import restore_state, state_of
from embodied.world.task import Draw, Outcome, Task, TaskMetadata, World

Rows = NDArray[np.intp]
PHYSICS, MODEL = "physics", "model/"  # names of MuJoCo's part of a saved state


class BatchEnv(TaskMetadata, VectorEnv):
    """N worlds of one task; world `i` of `reset(seed=s)` equals a single world reset with `s + i`.

    Args:
        task: what to do; one instance per environment.
        num_envs: number of worlds N.
        threads: physics threads (None: one per usable core); never changes a result.
        autoreset_mode: any of Gymnasium's modes, or its name.
        render_mode: None or "rgb_array".
        randomize: what differs from world to world; None: as the task has it.
        adversary: the share of episodes in which an `Adversary` that learns where players fail chooses what is hidden;
            None: all are drawn from the prior.
        observation: "flat" for a vector, or "dict" for vectors and pictures by name.

    `info` of every step holds, with a leading N: `hidden` (the truth), `state` (privileged, for critics),
    `shaping` (the potential Φ of the state; a learner that wants it adds γΦ′ − Φ, with Φ = 0 after a
    terminal step), `success` and `failed` (the physics diverged, so the episode was truncated); with a
    randomization also `sampled_parameters`, whose columns are `sampled_parameter_names`: what this world's body and
    model were given. None of them is part of the observation or the reward. `reset(options={"sampled_parameters": …})`,
    `(N, k)`, puts a draw back.

    Raises:
        OptionError: an unknown autoreset or render mode.
        UnknownNameError: an unknown form of observation.
    """

    def __init__(
        self,
        task: Task,
        num_envs: int = 1,
        threads: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        randomize: Randomization | None = None,
        adversary: float | None = None,
        observation: str = "flat",
    ) -> None:
        self.task = task
        self.num_envs = num_envs
        self.autoreset_mode = checked_autoreset_mode(autoreset_mode)
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": round(task.control_hz),
            "autoreset_mode": self.autoreset_mode,
        }
        if render_mode not in (None, "rgb_array"):
            raise OptionError(f"render_mode {render_mode!r} is unknown; known: None, 'rgb_array'")
        self.render_mode = render_mode
        self._define_spaces(observation)
        differing = task.randomization if randomize is None else randomize
        self.contract = contract_of(task, differing)
        self._build(threads, differing)
        self.adversary = None if adversary is None else self._adversary(adversary)

    def _define_spaces(self, observation: str) -> None:
        robots = self.task.robots
        self.layout = joined({prefix: robot.layout for prefix, robot in robots.items()})
        self.form = form_of(observation, self.layout)
        self.single_observation_space = self.form.space
        self.single_action_space = spaces.Box(-1.0, 1.0, (self.task.action_layout.size,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def _build(self, threads: int | None, randomize: Randomization) -> None:
        spec = self.task.compose()
        for prefix, robot in self.task.robots.items():
            built = robot.build(spec.option.timestep)
            _adopt_options(built, spec)
            spec.attach(built, prefix=prefix, frame=spec.worldbody.add_frame())
        prepare(spec, (name for term in randomize.terms for name in term.names))
        model = compile_spec(spec, type(self.task).__name__)
        n = self.num_envs
        self.batch = Batch(model, n, threads)
        self.streams = WorldStreams(n)
        self.bodies = tuple(
            BatchedRobot(robot, self.batch, self.streams, prefix, 1 / self.task.control_hz)
            for prefix, robot in self.task.robots.items()
        )
        self.substeps = whole_ticks(1 / self.task.control_hz, model.opt.timestep)
        self._limit = round(self.task.episode_s * self.task.control_hz)
        self._steps = np.zeros(n, np.int64)
        self._elapsed_s = np.zeros(n)
        self._declared = np.zeros((n, len(self.task.declarations)))
        self._obs = np.zeros((n, self.layout.size), np.float32)
        sizes = [robot.layout.size for robot in self.task.robots.values()]
        self._views = [self._obs[:, end - size : end] for size, end in zip(sizes, np.cumsum(sizes), strict=True)]
        self._ended = np.ones(n, bool)
        self._all = np.ones(n, bool)
        self.started = False
        self._renderer: WorldRenderer | None = None
        self.randomizer = Randomizer(randomize, self.batch, self.bodies, self.streams, 1 / self.task.control_hz)
        self.task.bind(World(self.batch, self.bodies, self._elapsed_s, self._declared))

    def _adversary(self, share: float) -> Adversary:
        """One that can set these worlds."""
        adversary = Adversary(share, self.task.hidden, self.streams, self.task.state().shape[1])
        self.task.set_hidden(self.task.truth())  # which raises if it cannot
        return adversary

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts new episodes in all worlds, or in those of `options["reset_mask"]` (N,).

        With a seed, every world starts over at its first episode; without one, at its next.
        `options["sampled_parameters"]`, as in `info`, is given to the worlds instead of new draws of their
        randomization.
        """
        super().reset(seed=seed)
        worlds = worlds_of_mask((options or {}).get("reset_mask"), self.num_envs)
        if seed is None and not self.started:
            seed = int(self.np_random.integers(2**31))
        if seed is not None:
            self.streams.seed(seed, worlds)
        self.started = True
        sampled = (options or {}).get("sampled_parameters")
        self._begin(worlds, None if sampled is None else checked_draw(sampled, self.randomizer.sampled.shape))
        return self.form.of(self._obs), self._info()

    def step(self, actions: NDArray) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Moves every world by one decision; actions `(N, nu)` in [-1, 1] are clipped to it.

        Raises:
            ActionError: an action of the wrong shape, or not finite.
            NotResetError: a world that was not reset, or that ended and waits for a reset.
        """
        commands = self.task.filter_actions(checked_actions(actions, self.action_space.shape))
        stale = self._stale_worlds()
        failed = self._advance(commands, stale)
        outcome, truncated = self._judge(failed, stale)
        self._observe(failed)
        failed = self._void_unsound(failed, stale, outcome, truncated)
        self._begin(stale)
        self._ended = outcome.terminated | truncated
        won = outcome.success.reshape(self.num_envs, -1)[:, 0]
        judged = self._ended.copy()
        judged[failed] = False  # that the physics diverged says nothing of the player
        self.randomizer.learn(judged, won)
        if self.adversary is not None:
            self.adversary.learn(judged, won)
        info = self._info(outcome.success, failed)
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._ended.any():
            info = self._restart(info)
        return self.form.of(self._obs), outcome.reward, outcome.terminated, truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Returns one picture per world, `(480, 640, 3)` each.

        Raises:
            RenderingError: no off-screen renderer could be opened.
        """
        if self.render_mode is None:
            gym.logger.warn("render() needs render_mode='rgb_array'")
            return None
        self._renderer = self._renderer or WorldRenderer(self.batch)
        return tuple(self._renderer.render(world) for world in range(self.num_envs))

    def set_hidden(self, hidden: NDArray) -> None:
        """Lets the hidden variables of all worlds be others, `(N, k)`, and leaves everything else as it is.

        Raises:
            OptionError: the task cannot, or the values are of another shape.
        """
        expected = (self.num_envs, len(self.hidden))
        if np.shape(hidden) != expected:
            raise OptionError(f"hidden variables are of shape {expected}, not {np.shape(hidden)}")
        self.task.set_hidden(np.asarray(hidden, np.float64))

    @property
    def last_obs(self) -> NDArray[np.float32]:
        """What was observed last, `(N, dim)`."""
        return self._obs.copy()

    def get_state(self) -> dict[str, NDArray]:
        """Returns everything that decides what happens next, by name: physics, sensors, commands, task, randomness."""
        fields = {f"{MODEL}{name}": values for name, values in self.batch.own_fields().items()}
        return {PHYSICS: self.batch.snapshot()} | fields | state_of(self._remembering)

    def set_state(self, state: dict[str, NDArray]) -> None:
        """Goes on exactly where another environment of the same task, options and size stood (see `get_state`).

        Raises:
            CheckpointError: the state is of another environment.
        """
        if PHYSICS not in state or state[PHYSICS].shape != self.batch.snapshot().shape:
            raise CheckpointError("the saved state is of another environment: the physics differ")
        if not self.started:
            self.reset(seed=0)
        rest = {name: value for name, value in state.items() if name != PHYSICS and not name.startswith(MODEL)}
        restore_state(self._remembering, rest)
        own = {name.removeprefix(MODEL): value for name, value in state.items() if name.startswith(MODEL)}
        self.batch.set_own_fields(own)
        self.batch.restore(state[PHYSICS])

    @property
    def _remembering(self) -> dict[str, Any]:
        own = ("_steps", "_elapsed_s", "_declared", "_obs", "_ended")
        return {name: getattr(self, name) for name in own} | {
            "streams": self.streams,
            "randomizer": self.randomizer,
            "adversary": self.adversary,
            "bodies": self.bodies,
            "task": self.task,
        }

    def close_extras(self, **kwargs: Any) -> None:
        """Frees renderers."""
        for body in self.bodies:
            body.close()
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    @property
    def sampled_parameter_names(self) -> tuple[str, ...]:
        """What the columns of `info["sampled_parameters"]` are."""
        return self.randomizer.names

    @property
    def body(self) -> BatchedRobot:
        """The body, or the first of several."""
        return self.bodies[0]

    def _stale_worlds(self) -> Rows:
        """Returns the worlds that this step resets instead of moving (next-step mode)."""
        if not self.started:
            raise NotResetError("call reset() before the first step()")
        stale = np.flatnonzero(self._ended)
        if self.autoreset_mode is AutoresetMode.DISABLED and stale.size:
            mend = "reset()" if self.num_envs == 1 else "reset(options={'reset_mask': …})"
            raise NotResetError(f"the episodes of worlds {stale.tolist()} have ended; call {mend}")
        return stale

    def _advance(self, commands: NDArray, stale: Rows) -> Rows:
        """Moves all worlds but the stale ones; returns those whose physics failed, put back to rest."""
        live = None if not stale.size else np.setdiff1d(np.arange(self.num_envs), stale)
        rows = slice(None) if live is None else live
        self._steps[rows] += 1
        first = 0
        for body in self.bodies:
            last = first + len(body.robot.actuators)
            body.command(commands[rows, first:last], self._steps[rows], rows)
            first = last
        self._declared[rows] = commands[rows, first:]
        self.randomizer.renew(self._steps[rows] - 1, np.arange(self.num_envs)[rows])
        failed = advance(self.bodies, self._steps[rows], live) if live is None or live.size else stale[:0]
        self._elapsed_s[rows] = self._steps[rows] / self.task.control_hz
        if failed.size:
            self._lay_to_rest(failed)
        return failed

    def _lay_to_rest(self, failed: Rows) -> None:
        warnings.warn(
            f"the physics of worlds {failed.tolist()} diverged; their episodes are truncated, the others go on",
            WorldFailureWarning,
            stacklevel=4,
        )
        self.batch.reset(failed)
        self.batch.forward(failed)

    def _judge(self, failed: Rows, stale: Rows) -> tuple[Outcome, NDArray[np.bool_]]:
        """Returns the outcome and who ran out of time; failed and stale worlds earn nothing."""
        outcome = self.task.outcome()
        void = np.concatenate([failed, stale])
        for part in (outcome.reward, outcome.terminated, outcome.success):
            part[void] = 0
        truncated = (self._steps >= self._limit) & ~outcome.terminated
        truncated[stale] = False
        truncated[failed] = True
        return outcome, truncated

    def _observe(self, failed: Rows) -> None:
        """Senses in all worlds; a failed world repeats its last observation."""
        last = self._obs[failed]
        self.task.before_observation()
        for body, view in zip(self.bodies, self._views, strict=True):
            body.sense(view, self._steps)
        self._obs[failed] = last
        self.task.after_observation()

    def _void_unsound(self, failed: Rows, stale: Rows, outcome: Outcome, truncated: NDArray[np.bool_]) -> Rows:
        """Adds to the failed worlds those in which something that is told is no number; they earn nothing either."""
        told = (self._obs, outcome.reward, self.task.state(), self.task.potential(), self.task.truth())
        sound = np.logical_and.reduce([np.isfinite(part.reshape(self.num_envs, -1)).all(axis=1) for part in told])
        if sound.all():
            return failed
        lost = np.setdiff1d(np.flatnonzero(~sound), np.concatenate([failed, stale]))
        if lost.size:
            self._lay_to_rest(lost)
        for part in (outcome.reward, outcome.terminated, outcome.success):
            part[lost] = 0
        truncated[lost] = True
        self._mend()
        return np.union1d(failed, lost)

    def _mend(self) -> None:
        """Observes the middle of what is possible where an observation is no number: its world fails when it moves."""
        if not np.isfinite(self._obs).all():
            np.copyto(self._obs, (self.layout.low + self.layout.high) / 2, where=~np.isfinite(self._obs))

    def _begin(self, worlds: Rows, replay: NDArray | None = None) -> None:
        """Starts a new episode in `worlds` and senses its first observation."""
        if not worlds.size:
            return
        self.streams.begin(worlds)
        self._steps[worlds] = 0
        self._declared[worlds] = 0
        self._elapsed_s[worlds] = 0.0
        self._ended[worlds] = False
        self.batch.reset(worlds)
        self.randomizer.begin(worlds, replay)
        self.task.begin(worlds, Draw(self.streams, worlds))
        if self.adversary is not None:
            hidden = self.task.truth()
            hidden[worlds] = self.adversary.choose(worlds, self.task.state()[worlds])
            self.task.set_hidden(hidden)
        for body in self.bodies:
            body.begin(worlds)
        self.batch.forward(worlds)
        for body in self.bodies:
            body.initialize_history(worlds)
        self.task.before_observation()
        for body, view in zip(self.bodies, self._views, strict=True):
            body.sense(view, self._steps, worlds)
        self._mend()
        self.task.after_observation()

    def _restart(self, info: dict[str, Any]) -> dict[str, Any]:
        """Resets the worlds that just ended, in the same step, and keeps how they ended."""
        done = self._ended.copy()
        final_obs = self.form.of(self._obs)
        self._begin(np.flatnonzero(done))
        self._ended[:] = False
        return self._info() | {
            "final_obs": final_obs,
            "_final_obs": done,
            "final_info": info,
            "_final_info": done,
        }

    def _info(self, success: NDArray | None = None, failed: Rows | None = None) -> dict[str, Any]:
        flags = np.zeros(self.num_envs, bool)
        flags[failed if failed is not None else []] = True
        values = {
            "hidden": numbers_only(self.task.truth()),
            "state": numbers_only(self.task.state()),
            "shaping": numbers_only(self.task.potential()),
            "success": np.zeros(self.num_envs, bool) if success is None else success,
            "failed": flags,
        }
        if self.sampled_parameter_names:
            values["sampled_parameters"] = self.randomizer.sampled.copy()
        return values | {f"_{key}": self._all for key in values}


def _adopt_options(robot: mujoco.MjSpec, arena: mujoco.MjSpec) -> None:
    """The arena decides how the physics is solved, whatever a robot's own file says."""
    for name in dir(arena.option):
        if not name.startswith("_") and not callable(getattr(arena.option, name)):
            setattr(robot.option, name, getattr(arena.option, name))
