"""On a GPU the learner does what it does on a CPU. Skipped where there is none."""

import numpy as np
import pytest
import torch
from conftest import QUICK, SIGNPOST
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from test_ppo import FirstRatios

from embodied.evaluation.report import evaluate
from embodied.learn.intrinsic import PredictionError
from embodied.learn.ppo import SequencePPO
from embodied.nn.agent import NetworkAgent
from embodied.nn.policy import load_policy
from embodied.vector.vec import as_vec_env
from embodied_policies import GRUPolicy, MlpPolicy, TransformerPolicy
from embodied_scripts.studies.recall_env import RecallEnv

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
POLICIES = [TransformerPolicy, GRUPolicy, MlpPolicy]


def trainer(policy=TransformerPolicy, **options):
    return SequencePPO(policy, SIGNPOST, QUICK, n_envs=16, n_steps=32, minibatches=4, seed=0, device="cuda", **options)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_acting_saw_is_what_training_sees(policy):
    probe = FirstRatios()
    trainer(policy).learn(16 * 32 * 4, callback=probe)
    assert probe.worst < 1e-3


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_trained_on_a_gpu_acts_the_same_on_a_cpu(policy, tmp_path):
    model = trainer(policy, normalize=True)
    model.learn(16 * 32 * 2)
    model.policy.save(tmp_path)
    there, here = load_policy(tmp_path, "cuda"), load_policy(tmp_path, "cpu")
    rng, states = np.random.default_rng(0), [None, None]
    for t in range(20):
        obs, first = rng.uniform(-1, 1, (4, *there.observation_space.shape)).astype(np.float32), np.full(4, t == 0)
        there_action, states[0] = there.predict(obs, states[0], first, deterministic=True)
        here_action, states[1] = here.predict(obs, states[1], first, deterministic=True)
        assert there_action == pytest.approx(here_action, abs=2e-3)


@pytest.mark.parametrize("options", [{"bfloat16": True}, {"compile": True}, {"bfloat16": True, "compile": True}])
def test_a_cue_is_recalled_in_sixteen_bits_and_compiled(options):
    env = SyncVectorEnv([lambda: RecallEnv(8)] * 32, autoreset_mode=AutoresetMode.SAME_STEP)
    model = SequencePPO(
        TransformerPolicy, env, QUICK, n_steps=36, minibatches=8, learning_rate=1e-3, ent_coef=0.01, seed=0,
        policy_kwargs={"layers": 1, "width": 32, "context": 16}, device="cuda", **options,
    )  # fmt: skip
    model.learn(40_000)
    assert np.mean([episode["r"] for episode in model.ep_info_buffer]) > 0.9


@pytest.mark.parametrize("goes_on", ["cuda", "cpu"])
def test_a_run_saved_on_a_gpu_goes_on_there_and_on_a_cpu(goes_on, tmp_path):
    model = trainer()
    model.learn(16 * 32)
    model.save(tmp_path)
    resumed = SequencePPO.load(tmp_path, SIGNPOST, device=goes_on)
    resumed.learn(16 * 32, reset_num_timesteps=False)
    assert resumed.num_timesteps == 2 * 16 * 32
    assert all(torch.isfinite(weight).all() for weight in resumed.policy.parameters())


def test_every_option_trains_on_a_gpu():
    model = trainer(
        use_sde=True, sde_sample_freq=4, forward_model_coef=0.1, intrinsic_coef=0.1, shaping_curriculum=0.5,
        target_kl=0.1,
        previous=("action", "reward"), normalize=True, policy_kwargs={"experts": 3, "gate": True, "layers": 2},
    )  # fmt: skip
    model.learn(16 * 32 * 2)
    assert isinstance(model.prediction_error, PredictionError)
    report = evaluate(NetworkAgent(model.policy), as_vec_env(SIGNPOST, 8, model.previous), 8, seed=1)
    assert np.isfinite(report.reward)
