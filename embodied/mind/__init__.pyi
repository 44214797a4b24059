from .belief import DiscreteFilter as DiscreteFilter
from .credible_regions import central_region as central_region
from .credible_regions import coverage as coverage
from .credible_regions import smallest_region as smallest_region
from .information import Estimate as Estimate
from .information import calibration_error as calibration_error
from .information import entropy_bits as entropy_bits
from .information import finite_gain as finite_gain
from .information import linear_gaussian_gain as linear_gaussian_gain
from .information import negative_log_likelihood as negative_log_likelihood
from .information import sample_entropy as sample_entropy
from .information import sampled_gain as sampled_gain
from .information import value_of_information as value_of_information
from .options.outcome_table import OutcomeTable as OutcomeTable
from .options.planner import OptionPlanner as OptionPlanner
from .options.policy_value import PolicyValue as PolicyValue
from .options.problem import OptionOutcome as OptionOutcome
from .options.problem import OptionProblem as OptionProblem
from .options.search_targets import SearchTargets as SearchTargets
from .particles import ParticleBelief as ParticleBelief
from .planner import Planner as Planner
from .problem import Problem as Problem

__all__ = [
    "DiscreteFilter",
    "Estimate",
    "OptionOutcome",
    "OptionPlanner",
    "OptionProblem",
    "OutcomeTable",
    "ParticleBelief",
    "Planner",
    "PolicyValue",
    "Problem",
    "SearchTargets",
    "calibration_error",
    "central_region",
    "coverage",
    "entropy_bits",
    "finite_gain",
    "linear_gaussian_gain",
    "negative_log_likelihood",
    "sample_entropy",
    "sampled_gain",
    "smallest_region",
    "value_of_information",
]
