from .experience import Experience as Experience
from .previous_action import PreviousAction as PreviousAction
from .privileged import PrivilegedObs as PrivilegedObs
from .spec import EnvSpec as EnvSpec
from .vec import GymVecEnv as GymVecEnv
from .vec import as_vec_env as as_vec_env
from .vec import make_vec as make_vec

__all__ = [
    "EnvSpec",
    "Experience",
    "GymVecEnv",
    "PreviousAction",
    "PrivilegedObs",
    "as_vec_env",
    "make_vec",
]
