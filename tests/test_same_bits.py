"""World i is the same to the last bit alone, among others, on any number of threads and against any opponent."""

import numpy as np
import pytest
from conftest import equal

from embodied.randomization import Randomization, RandomizationTerm, Uniform
from embodied.vector.vec import make_vec
from embodied_scripts.ids import own_ids

ARMS = ("embodied/Feel-v0", "embodied/Heft-v0", "embodied/Rummage-v0")  # whose worlds always differ
DUELS = ("embodied/HideSeek-v0", "embodied/HideSeek-v1", "embodied/Sumo-v0")
MOTORS = Randomization((RandomizationTerm(("*_motor/resistance",), Uniform(0.8, 1.3), "scale"),))
CASES = [(name, {}) for name in own_ids()]
CASES += [
    (name, {"opponent": opponent, "seat": seat})
    for name in DUELS
    for opponent, seat in (("random", 0), ("scripted", 1))
]
CASES += [(name, {"randomize": MOTORS}) for name in own_ids() if name not in ARMS]
CASES += [("embodied/Signpost-v0", {"adversary": 1.0}), ("embodied/Search-v0", {"adversary": 0.5})]


def told(name: str, n: int, threads: int, seed: int, commands: np.ndarray, options: dict) -> list[np.ndarray]:
    """Everything that a batch returns over a rollout."""
    env = make_vec(name, n, threads=threads, **options)
    obs, info = env.reset(seed=seed)
    out = [obs, *(info[key] for key in ("hidden", "state", "shaping"))]
    for command in commands:
        obs, reward, terminated, truncated, info = env.step(command)
        out += [obs, reward, terminated, truncated, *(info[key] for key in ("hidden", "state", "shaping"))]
    env.close()
    return out


@pytest.mark.parametrize(
    ("name", "options"), CASES, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_a_world_is_the_same_bits_alone_among_others_and_on_any_number_of_threads(name, options):
    space = make_vec(name, 1).single_action_space
    commands = np.random.default_rng(0).uniform(-1, 1, (120, 6, *space.shape)).astype(np.float32)
    together = told(name, 6, 2, 3, commands, options)
    assert equal(together, told(name, 6, 1, 3, commands, options))
    if "adversary" in options:
        commands = commands[:20]  # later on it has learned from the episodes of all worlds
    for first, size in ((4, 1), (1, 3)):
        some = slice(first, first + size)
        alone = told(name, size, 2, 3 + first, commands[:, some], options)
        assert equal([values[some] for values in together[: len(alone)]], alone)
