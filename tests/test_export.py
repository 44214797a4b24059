"""A policy leaves the lab: onnxruntime acts as torch does, without torch."""

import subprocess
import sys

import numpy as np
import pytest
from gymnasium import spaces

from embodied.errors import CheckpointError
from embodied.lineage.content import kind_of, sha256_of_artifact
from embodied.nn.checkpoint import policy_folder
from embodied.nn.policy import Privilege
from embodied_policies.gru import GRUPolicy
from embodied_policies.mlp import MlpPolicy
from embodied_policies.transformer import TransformerPolicy

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from embodied.nn.onnx import export_onnx
from embodied.nn.onnx_agent import OnnxAgent

OBS = spaces.Box(-2, 2, (6,), np.float32)
TURN = spaces.Box(-1, 3, (2,), np.float32)


@pytest.mark.parametrize(
    ("policy", "actions", "kind"),
    [
        (TransformerPolicy, TURN, {"context": 6, "positions": "learned", "gate": True}),
        (TransformerPolicy, spaces.Discrete(4, start=2), {"context": 6, "experts": 3}),
        (TransformerPolicy, TURN, {"context": 40, "layers": 3}),
        (GRUPolicy, spaces.MultiDiscrete([2, 3]), {}),
        (MlpPolicy, TURN, {}),
    ],
)
def test_the_exported_policy_acts_the_same_over_episodes(tmp_path, policy, actions, kind):
    network = policy(OBS, actions, privilege=Privilege(0, (2,)), **kind).eval()
    agent = OnnxAgent(export_onnx(network, tmp_path / "policy.onnx"))
    rng = np.random.default_rng(0)
    carry, state = agent.initial(2, 0), None
    for t in range(20):
        obs, first = rng.uniform(-2, 2, (2, 6)).astype(np.float32), np.array([t == 0, t in (0, 11)])
        carry, action = agent.act(carry, obs, first)
        expected, state = network.predict(obs, state, first, deterministic=True)
        assert action == pytest.approx(expected, abs=1e-4)
        assert agent.belief(carry).sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-5)


def test_running_an_exported_policy_needs_no_torch(tmp_path):
    path = export_onnx(TransformerPolicy(OBS, TURN, context=4).eval(), tmp_path / "policy.onnx")
    code = (
        "import sys, importlib.abc\n"
        "class NoTorch(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError('no torch here')\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "import numpy as np\n"
        "from embodied.nn.onnx_agent import OnnxAgent\n"
        f"agent = OnnxAgent({str(path)!r})\n"
        "carry, action = agent.act(agent.initial(1, 0), np.zeros((1, 6)), np.ones(1, bool))\n"
        "print(action.shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "(1, 2)", done.stderr


def test_a_run_into_which_its_policy_was_exported_is_still_that_run(tmp_path):
    made = MlpPolicy(OBS, TURN, layers=1, width=8)
    made.save(tmp_path / "policy")
    export_onnx(made, tmp_path / "policy.onnx")
    assert (tmp_path / "policy.json").is_file()
    assert policy_folder(tmp_path) == tmp_path / "policy"
    assert kind_of(tmp_path / "policy") == "policy"
    assert kind_of(tmp_path) == "folder"
    before = sha256_of_artifact(tmp_path / "policy.onnx")
    (tmp_path / "policy.json").write_text("{}")
    assert sha256_of_artifact(tmp_path / "policy.onnx") != before


def test_a_damaged_export_is_refused(tmp_path):
    path = export_onnx(MlpPolicy(OBS, TURN).eval(), tmp_path / "policy.onnx")
    path.write_bytes(b"not a model")
    with pytest.raises(CheckpointError, match="holds no exported policy"):
        OnnxAgent(path)
    with pytest.raises(CheckpointError, match="holds no exported policy"):
        OnnxAgent(tmp_path / "missing.onnx")
