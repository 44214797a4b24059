from .clock import LogicalClock as LogicalClock
from .clock import RealClock as RealClock
from .clock import SteppedClock as SteppedClock
from .dataset import LeRobotFolder as LeRobotFolder
from .driver import Driver as Driver
from .driver import JointLimits as JointLimits
from .driver import Reading as Reading
from .drivers.cameras import SeeingRobot as SeeingRobot
from .drivers.cameras import VideoCamera as VideoCamera
from .drivers.replay import ReplayedRobot as ReplayedRobot
from .drivers.servos import Calibration as Calibration
from .drivers.servos import ServoArm as ServoArm
from .leading import Keyboard as Keyboard
from .leading import Leader as Leader
from .log import LogFile as LogFile
from .loop import Loop as Loop
from .loop import LoopReport as LoopReport
from .observing import RobotView as RobotView
from .probe import Finding as Finding
from .probe import ProbeReport as ProbeReport
from .probe import probe as probe
from .supervision import Supervision as Supervision
from .twin.body import BodyTruth as BodyTruth
from .twin.body import TwinBody as TwinBody
from .twin.bus import Bus as Bus
from .twin.bus import Faults as Faults
from .twin.camera import TwinCamera as TwinCamera
from .twin.direct import DirectBus as DirectBus
from .twin.firmware import Firmware as Firmware
from .twin.mystery import mystery as mystery
from .twin.server import TwinServer as TwinServer
from .workspace import Workspace as Workspace

__all__ = [
    "BodyTruth",
    "Bus",
    "Calibration",
    "DirectBus",
    "Driver",
    "Faults",
    "Finding",
    "Firmware",
    "JointLimits",
    "Keyboard",
    "LeRobotFolder",
    "Leader",
    "LogFile",
    "LogicalClock",
    "Loop",
    "LoopReport",
    "ProbeReport",
    "Reading",
    "RealClock",
    "ReplayedRobot",
    "RobotView",
    "SeeingRobot",
    "ServoArm",
    "SteppedClock",
    "Supervision",
    "TwinBody",
    "TwinCamera",
    "TwinServer",
    "VideoCamera",
    "Workspace",
    "mystery",
    "probe",
]
