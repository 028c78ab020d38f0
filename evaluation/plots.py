"""The loss curve of a run as a picture."""

from typing import Any

from common.files import PathLike, atomic_open


def plot_loss(path: PathLike, metrics: list[dict[str, Any]], tokens_per_step: int) -> None:
    """Write a PNG of training and held-out loss against tokens.

    Args:
        path: the picture.
        metrics: records of metrics.jsonl.
        tokens_per_step: turns the step of a record into tokens.

    Raises:
        UserError: the disk is full.
    """
    # A figure without pyplot has no window and needs no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for key, label, style in (("loss", "training", "-"), ("val_loss", "held out", "o-")):
        points = [(m["step"] * tokens_per_step, m[key]) for m in metrics if m.get(key) is not None]
        axes.plot([x for x, _ in points], [y for _, y in points], style, label=label, markersize=4)
    axes.set(xlabel="tokens seen", ylabel="loss (nats per token)")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_open(path) as file:
        figure.savefig(file, format="png", dpi=120)
