import pytest
import torch

import embodied_envs  # noqa: F401  (registers the ids)

SIGNPOST = "embodied/Signpost-v0"


@pytest.fixture(autouse=True, scope="session")
def _few_threads():
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)
