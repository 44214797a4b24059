from .actuators.battery import Battery as Battery
from .actuators.motors import GearMotor as GearMotor
from .actuators.motors import LuGre as LuGre
from .actuators.motors import Overload as Overload
from .actuators.motors import ServoMotor as ServoMotor
from .actuators.motors import Thermal as Thermal
from .actuators.spec import Actuator as Actuator
from .actuators.spec import DCMotor as DCMotor
from .actuators.spec import ForceMotor as ForceMotor
from .actuators.spec import Servo as Servo
from .actuators.spec import TorqueMotor as TorqueMotor
from .actuators.spec import VelocityMotor as VelocityMotor
from .batched import BatchedRobot as BatchedRobot
from .cameras.image import ImagePipeline as ImagePipeline
from .cameras.image import Lens as Lens
from .cameras.spec import Camera as Camera
from .cameras.spec import ColorCamera as ColorCamera
from .cameras.spec import DepthCamera as DepthCamera
from .control import ArmControl as ArmControl
from .control import HandMoves as HandMoves
from .control import JointTargets as JointTargets
from .control import JointVelocities as JointVelocities
from .datasheet import Imu as Imu
from .datasheet import read_battery as read_battery
from .datasheet import read_bus_servo as read_bus_servo
from .datasheet import read_gear_motor as read_gear_motor
from .datasheet import read_imu as read_imu
from .datasheet import read_range_finder as read_range_finder
from .datasheet import read_servo as read_servo
from .kinematics import SerialChain as SerialChain
from .rays.spec import LineCamera as LineCamera
from .rays.spec import RaySensor as RaySensor
from .robot import Robot as Robot
from .sensors.error_model import ErrorModel as ErrorModel
from .sensors.error_model import drift_from_bias_instability as drift_from_bias_instability
from .sensors.presets import absolute_encoder as absolute_encoder
from .sensors.presets import battery_voltage as battery_voltage
from .sensors.presets import contact_force as contact_force
from .sensors.presets import force_torque as force_torque
from .sensors.presets import goal_position as goal_position
from .sensors.presets import incremental_encoder as incremental_encoder
from .sensors.presets import motor_current as motor_current
from .sensors.presets import motor_load as motor_load
from .sensors.presets import touch as touch
from .sensors.presets import wheel_odometry as wheel_odometry
from .sensors.spec import Sensor as Sensor
from .sensors.spec import Source as Source
from .sensors.spec import Telemetry as Telemetry
from .timing import Timing as Timing

__all__ = [
    "Actuator",
    "ArmControl",
    "BatchedRobot",
    "Battery",
    "Camera",
    "ColorCamera",
    "DCMotor",
    "DepthCamera",
    "ErrorModel",
    "ForceMotor",
    "GearMotor",
    "HandMoves",
    "ImagePipeline",
    "Imu",
    "JointTargets",
    "JointVelocities",
    "Lens",
    "LineCamera",
    "LuGre",
    "Overload",
    "RaySensor",
    "Robot",
    "Sensor",
    "SerialChain",
    "Servo",
    "ServoMotor",
    "Source",
    "Telemetry",
    "Thermal",
    "Timing",
    "TorqueMotor",
    "VelocityMotor",
    "absolute_encoder",
    "battery_voltage",
    "contact_force",
    "drift_from_bias_instability",
    "force_torque",
    "goal_position",
    "incremental_encoder",
    "motor_current",
    "motor_load",
    "read_battery",
    "read_bus_servo",
    "read_gear_motor",
    "read_imu",
    "read_range_finder",
    "read_servo",
    "touch",
    "wheel_odometry",
]
