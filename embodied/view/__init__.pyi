from .model_stream import ModelStream as ModelStream
from .robot_stream import RobotStream as RobotStream
from .scene import Scene as Scene
from .sink import open_recording as open_recording
from .stream import Stream as Stream

__all__ = [
    "ModelStream",
    "RobotStream",
    "Scene",
    "Stream",
    "open_recording",
]
