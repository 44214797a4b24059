"""From real logs to a model and its uncertainty."""

from embodied.sysid.lint import Finding, lint
from embodied.sysid.recording import Recording

__all__ = ["Finding", "Recording", "lint"]
