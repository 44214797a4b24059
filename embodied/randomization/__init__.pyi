from .adversary import Adversary as Adversary
from .distributions import Beta as Beta
from .distributions import Choice as Choice
from .distributions import Correlated as Correlated
from .distributions import Distribution as Distribution
from .distributions import Empirical as Empirical
from .distributions import LogUniform as LogUniform
from .distributions import Normal as Normal
from .distributions import Uniform as Uniform
from .spec import ADR as ADR
from .spec import DORAEMON as DORAEMON
from .spec import Randomization as Randomization
from .spec import RandomizationTerm as RandomizationTerm

__all__ = [
    "ADR",
    "DORAEMON",
    "Adversary",
    "Beta",
    "Choice",
    "Correlated",
    "Distribution",
    "Empirical",
    "LogUniform",
    "Normal",
    "Randomization",
    "RandomizationTerm",
    "Uniform",
]
