"""The figures of a card are those of what was held out."""

from types import SimpleNamespace

from interop.model_card import figures as figures_of


def test_a_rewarded_model_has_a_reward_and_no_loss():
    figures = {"step": 200, "val_loss": -5.04519, "bits_per_byte": None, "val_reward": 5.04519}
    assert "| held-out reward | 5.0452 |" in figures_of(SimpleNamespace(figures=figures))


def test_a_pretrained_model_has_loss_and_bits():
    figures = {"step": 7, "val_loss": 4.25, "bits_per_byte": 1.934}
    lines = figures_of(SimpleNamespace(figures=figures))
    assert lines[4:6] == [
        "| held-out loss, nats a token | 4.2500 |",
        "| bits per byte of held-out text | 1.9340 |",
    ]
