"""From real logs to a model and its uncertainty."""

from embodied.sysid.drive import Drive, Servo, TorqueDrive, VelocityDrive, VoltageDrive
from embodied.sysid.excite import Limits, Proposal, propose
from embodied.sysid.fit import Parameter, fit
from embodied.sysid.lint import Finding, lint
from embodied.sysid.plant import Plant, ServoPlant
from embodied.sysid.posterior import Fit
from embodied.sysid.readers.mapping import LogMap
from embodied.sysid.recorder import Recorder
from embodied.sysid.recording import Recording
from embodied.sysid.rules.clean import clean

__all__ = [
    "Drive",
    "Finding",
    "Fit",
    "Limits",
    "LogMap",
    "Parameter",
    "Plant",
    "Proposal",
    "Recorder",
    "Recording",
    "Servo",
    "ServoPlant",
    "TorqueDrive",
    "VelocityDrive",
    "VoltageDrive",
    "clean",
    "fit",
    "lint",
    "propose",
]
