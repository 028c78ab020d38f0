"""Figures without a window, as PNG files."""

import logging

from common.files import PathLike, atomic_open

DPI = 120


def new_figure(width: float, height: float = 5):
    """An empty matplotlib figure, its size in inches.

    Labels must be English: the fonts that come with matplotlib have no Chinese characters.
    """
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it reports its list of fonts
    # Slow to import. A figure without pyplot needs no display.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure, path: PathLike) -> None:
    """Write a figure as PNG, atomically.

    Raises:
        UserError: the disk is full.
    """
    with atomic_open(path) as file:
        figure.savefig(file, format="png", dpi=DPI)
