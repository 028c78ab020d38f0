"""Export a run: python export.py --run out/demo --format hf --output DIR [--help]."""

from common.errors import run_main
from interop.options import parse_options
from runs.environment import prepare_environment


def main() -> int:
    """Export a checkpoint of a run in a foreign format, checked by reading it back."""
    options = parse_options(description=__doc__)
    prepare_environment(options.run)
    # MindSpore reads its environment when it is imported.
    from interop.exporter import export
    from runs.device import select_device
    from runs.run import Run

    run = Run.open(options.run, ["--eval.checkpoint", options.checkpoint])
    select_device(run.recipe.train.device)
    summary = export(run, options.format, options.output, options.dtype, options.layout)
    print(f"wrote {options.output} ({options.format}): {summary}", flush=True)
    return 0


if __name__ == "__main__":
    run_main(main)
