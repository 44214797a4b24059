"""What can go wrong, said so that a person knows what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_LISTED = 100
IMPORT_ADVICE = "; if it is another module's, import that first (on the command line: --import MODULE)"


class EmbodiedError(Exception):
    """Root of every error that this toolkit raises on purpose."""


class UnknownNameError(EmbodiedError, KeyError):
    """A name that does not exist; the message lists those that do."""

    def __init__(self, kind: str, name: object, known: Iterable[str], advice: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        close = difflib.get_close_matches(str(name), self.known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ";"
        super().__init__(f"no {kind} {name!r}{hint} known: {self._listed()}{advice}")

    def _listed(self) -> str:
        """The known names; of very many, those that are most like the wanted one."""
        if len(self.known) <= MOST_LISTED:
            return ", ".join(self.known) or "none"
        near = difflib.get_close_matches(str(self.name), self.known, n=MOST_LISTED // 4, cutoff=0.0)
        return f"{', '.join(near)} and {len(self.known) - len(near)} more"

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])


class OptionError(EmbodiedError, ValueError):
    """An option whose value is not allowed."""


class ModelError(EmbodiedError, ValueError):
    """A robot, arena or datasheet that does not describe a body that can be built."""


class ActionError(EmbodiedError, ValueError):
    """An action of the wrong shape, or one that is not a number."""


class NotResetError(EmbodiedError, RuntimeError):
    """A step before the first reset, or after an episode that ended and was not reset."""


class CheckpointError(EmbodiedError, ValueError):
    """A saved policy or run that is corrupt, or was made for another environment."""


class ProblemError(EmbodiedError, ValueError):
    """A decision problem that cannot be thought about: no actions, or numbers that are none."""


class BeliefLostError(EmbodiedError, RuntimeError):
    """An observation that nothing believed in can explain."""


class ObservationError(EmbodiedError, ValueError):
    """An observation or a reward that is not a number, or too large to be learned from."""


class TrainingError(EmbodiedError, RuntimeError):
    """A training whose weights would no longer be numbers; nothing of the update was taken over."""


class RecordingError(EmbodiedError, ValueError):
    """A recording that is damaged, or whose parts do not fit together."""


class LineageError(EmbodiedError, ValueError):
    """An artifact whose origin is not what is said of it, or not what is asked for.

    Attributes:
        reason: in one word, for programs: "unsigned", "revoked", "changed" and others.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class DriverError(EmbodiedError, RuntimeError):
    """A robot that cannot be reached, does not answer, or was told something that it cannot do."""


class MissingExtraError(EmbodiedError, ImportError):
    """An optional library that is not installed; the message says the command that installs it."""

    def __init__(self, library: str, extra: str) -> None:
        command = f"pip install 'embodied-sim2real[{extra}]'"
        super().__init__(f"this needs the library {library!r}, which is not installed: {command}")


class RenderingError(EmbodiedError, RuntimeError):
    """No off-screen renderer could be opened on this machine."""


class WorldFailureWarning(RuntimeWarning):
    """The physics of some worlds diverged; their episodes were truncated and the others went on."""


class ModelWarning(UserWarning):
    """Something of a model's file that is left out, such as a visual shape whose mesh is missing."""


class BeliefLostWarning(RuntimeWarning):
    """An observation contradicted everything that was believed; the agent went on as its documentation says."""


class NotZeroSumWarning(RuntimeWarning):
    """What the players of a game won did not add up to nothing; half the difference was played for."""
