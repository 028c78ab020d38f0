"""The reward model's loss against the formula of Bradley and Terry in torch."""

import numpy as np
import pytest
from mindspore import Tensor

from model.adapters import add_adapters
from model.config import AdapterConfig
from model.llama import Llama
from tests.model.cases import lively, tiny_config
from tests.training.objectives.pair_cases import TIME, States, answers, columns, differentiate
from training.config import TrainConfig
from training.objectives.config import RewardConfig
from training.objectives.pair_reward import PairReward
from training.step import TrainStep

pytestmark = pytest.mark.usefixtures("graph_mode")


@pytest.mark.parametrize("margin", [0.0, 0.8])
def test_loss_and_gradient_are_those_of_the_formula(margin):
    import torch

    network = States()
    objective = PairReward(network, RewardConfig(margin=margin))
    loss, count, measures, gradients = differentiate(objective)
    states = torch.tensor(network.h.asnumpy(), requires_grad=True)
    head = torch.tensor(network.value_head.asnumpy(), requires_grad=True)
    rewards = [[states[row * TIME + last] @ head for row, _, _, last in pair] for pair in answers()]
    log_sigmoid = torch.nn.functional.logsigmoid
    expected = -sum(log_sigmoid(chosen - rejected - margin) for chosen, rejected in rewards)
    expected.backward()
    assert count == 5 and loss == pytest.approx(float(expected.detach()), rel=1e-5)
    for ours, theirs in ((gradients[0], states.grad), (gradients[2], head.grad)):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)
    assert not gradients[1].any(), "logits take no part"
    chosen, rejected = torch.tensor(rewards).T
    assert measures[0] == (chosen > rejected).sum()
    assert measures[1] == pytest.approx(float((chosen - rejected).sum()), rel=1e-5)


@pytest.mark.parametrize("adapter", [None, AdapterConfig(kind="lora", rank=4)], ids=["all", "lora"])
def test_native_kernels_train_like_the_plain_ones(adapter):
    found = {}
    for native in (False, True):
        config = tiny_config(document_mask=True, max_seq_len=24, value_head=True)
        network = lively(Llama(config, native=native))
        if adapter:
            add_adapters(network, adapter)
        train = TrainConfig(max_steps=2, warmup_steps=0, learning_rate=0.01)
        objective = PairReward(network, RewardConfig())
        step = TrainStep(objective, train, native=native)
        before = network.value_head.asnumpy().copy()
        for seed in range(2):
            batch = columns(seed)
            outputs = step(*(Tensor(batch[name]) for name in objective.columns))
        numbers = np.hstack([float(outputs[0]), float(outputs[1]), outputs[4].asnumpy()])
        found[native] = [numbers, *(p.asnumpy() for p in network.trainable_params())]
        assert (network.value_head.asnumpy() != before).any()
        assert "value_head" in [p.name for p in network.trainable_params()]
    for ours, theirs in zip(found[True], found[False]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-4)
