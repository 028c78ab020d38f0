"""DPO and IPO against the papers' formulas in torch: losses, gradients, masks and padding."""

import numpy as np
import pytest
from mindspore import Tensor

from model.llama import Llama
from tests.model.cases import lively, tiny_config
from tests.training.objectives.pair_cases import (
    States,
    answers,
    columns,
    differentiate,
)
from training.config import TrainConfig
from training.objectives.config import DpoConfig
from training.objectives.direct_preference import DirectPreference
from training.objectives.pairs import segment_sums
from training.step import TrainStep

pytestmark = pytest.mark.usefixtures("graph_mode")


def torch_loss(states, table, config: DpoConfig):
    """The sum over the pairs, an answer at a time, as DPO, IPO and RPO are written in the papers.

    Also the implicit rewards, beta (log pi - log ref), of chosen and rejected answers.
    """
    import torch

    found = columns()
    loss, rewards = 0, []
    for pair in answers():
        log_ratios, own = [], []
        for row, slot, places, _ in pair:
            h = states.reshape(len(found["tokens"]), -1, states.shape[-1])[row, places]
            targets = torch.tensor(found["targets"][row, places]).long()
            log_prob = torch.log_softmax(h @ table.T, -1)[range(len(targets)), targets].sum()
            size = len(targets) if config.length_normalised else 1
            reference = float(found["reference_log_probs"][row, slot])
            log_ratios.append(log_prob / size - reference / size)
            own.append(log_prob / len(targets))
        logits = log_ratios[0] - log_ratios[1]
        if config.loss == "ipo":
            loss = loss + (logits - 1 / (2 * config.beta)) ** 2
        else:
            smoothing, log_sigmoid = config.label_smoothing, torch.nn.functional.logsigmoid
            loss = loss - (1 - smoothing) * log_sigmoid(config.beta * logits)
            loss = loss - smoothing * log_sigmoid(-config.beta * logits)
        loss = loss - config.nll * own[0]
        rewards.append([config.beta * float(ratio.detach()) for ratio in log_ratios])
    return loss, np.array(rewards)


CASES = {
    "sigmoid": DpoConfig(beta=0.3),
    "smoothed": DpoConfig(beta=0.3, label_smoothing=0.2),
    "length-normalised": DpoConfig(beta=2.0, length_normalised=True),
    "nll": DpoConfig(beta=0.1, nll=0.7),
    "ipo": DpoConfig(loss="ipo", beta=0.2),
    "ipo, length-normalised": DpoConfig(loss="ipo", beta=0.2, length_normalised=True),
}


NATIVE = ("nll", "ipo, length-normalised")


@pytest.mark.parametrize(
    ("case", "native"), [*((case, False) for case in CASES), *((case, True) for case in NATIVE)]
)
def test_loss_and_gradient_are_those_of_the_formula(case, native):
    import torch

    config, network = CASES[case], States(native)
    loss, count, measures, gradients = differentiate(DirectPreference(network, config))
    states = torch.tensor(network.h.asnumpy(), requires_grad=True)
    table = torch.tensor(network.output.asnumpy(), requires_grad=True)
    expected, rewards = torch_loss(states, table, config)
    expected.backward()
    assert count == len(rewards) == 5
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    for ours, theirs in zip(gradients, (states.grad.numpy(), table.grad.numpy())):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())
    chosen, rejected = rewards.T
    values = dict(zip(DirectPreference.measures, measures))
    assert values["accuracy"] == (chosen > rejected).sum()
    assert values["margin"] == pytest.approx((chosen - rejected).sum(), rel=1e-4)
    assert values["chosen_reward"] == pytest.approx(chosen.sum(), rel=1e-4)
    assert (values["chosen_length"], values["rejected_length"]) == (24, 20)


def steps(native: bool) -> list[np.ndarray]:
    """Loss, norm and measures of three steps of two micro-batches, and the weights then."""
    network = lively(Llama(tiny_config(document_mask=True, max_seq_len=24), native=native))
    train = TrainConfig(max_steps=3, warmup_steps=0, learning_rate=0.01)
    objective = DirectPreference(network, DpoConfig(nll=0.5))
    step = TrainStep(objective, train, micro_batches=2, native=native)
    found = []
    for seed in range(6):
        batch = columns(seed)
        outputs = step(*(Tensor(batch[name]) for name in objective.columns))
        if seed % 2:
            found.append(np.hstack([float(outputs[0]), float(outputs[1]), outputs[4].asnumpy()]))
    return [*found, *(p.asnumpy() for p in network.trainable_params())]


def test_native_kernels_train_like_the_plain_ones():
    for ours, theirs in zip(steps(native=True), steps(native=False)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-4)


def test_beside_itself_the_loss_is_ln_2_and_the_margin_0():
    found, network = columns(), States()
    objective = DirectPreference(network, DpoConfig())
    read = (Tensor(found[name]) for name in ("tokens", "targets", "segment_ids"))
    log_probs = objective.log_probs(*read)[0] * Tensor(found["loss_weight"])
    own = segment_sums(log_probs, Tensor(found["segment_ids"]), found["present"].shape[1])
    found["reference_log_probs"] = own.asnumpy() * found["present"]
    loss, count, measures = objective(*(Tensor(found[name]) for name in objective.columns))
    assert float(loss) / float(count) == pytest.approx(np.log(2), abs=1e-6)
    assert float(measures[1]) == pytest.approx(0, abs=1e-6)


def test_smoothing_belongs_to_the_sigmoid():
    with pytest.raises(ValueError, match="objective.label_smoothing is 0.1; objective.loss ipo"):
        DpoConfig(loss="ipo", label_smoothing=0.1)
