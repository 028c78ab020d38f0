"""Loss curves of one run and of several as pictures."""

from collections.abc import Mapping

from common.figures import new_figure, save_figure
from common.files import PathLike
from evaluation.history import Curve, History

AXES = (
    ("tokens", "tokens seen", 1.0),
    ("seconds", "minutes of training steps", 60.0),
    ("flops", "floating-point operations", 1.0),
)
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink")


def plot_loss(path: PathLike, history: History) -> None:
    """Write a PNG of training and held-out loss against tokens.

    Raises:
        UserError: the disk is full.
    """
    figure = new_figure(8)
    axes = figure.add_subplot()
    for curve, label, style in (
        (history.training, "training", "-"),
        (history.held_out, "held out", "o-"),
    ):
        axes.plot(curve.tokens, curve.losses, style, label=label, markersize=4)
    axes.set(xlabel=AXES[0][1], ylabel="loss (nats per token)")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path)


def plot_comparison(path: PathLike, runs: Mapping[str, tuple[Curve, Curve]], unit: str) -> None:
    """Write a PNG of the losses of several runs against tokens, time and computation.

    Args:
        path: the picture.
        runs: training and held-out curve under the name of each run.
        unit: of the losses.

    Raises:
        UserError: the disk is full.
    """
    figure = new_figure(15)
    for place, (field, label, divisor) in enumerate(AXES, 1):
        axes = figure.add_subplot(1, len(AXES), place)
        for i, (name, (training, held_out)) in enumerate(runs.items()):
            colour = COLOURS[i % len(COLOURS)]
            x = [value / divisor for value in getattr(training, field)]
            axes.plot(x, training.losses, "-", color=colour, alpha=0.35, linewidth=1)
            x = [value / divisor for value in getattr(held_out, field)]
            axes.plot(x, held_out.losses, "o-", color=colour, label=name, markersize=4)
        axes.set(xlabel=label, ylabel=unit if place == 1 else "")
        axes.grid(alpha=0.3)
    axes.legend(title="held out (faint: training)")
    save_figure(figure, path)
