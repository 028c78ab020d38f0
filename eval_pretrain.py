"""See what a run has learned: python eval_pretrain.py [--run out/demo] [--prompt TEXT] [--help]."""

from pathlib import Path

from common.errors import run_main
from evaluation.options import parse_options
from recipe import Recipe
from training.environment import prepare_environment


def main() -> int:
    """Evaluate a run and write its report, or only continue prompts."""
    options = parse_options(description=__doc__)
    prepare_environment(options.run or Path(Recipe.out_dir))
    # MindSpore reads its environment when it is imported.
    from evaluation.continuation import Writer
    from evaluation.perplexity import describe, measure
    from evaluation.report import write_report
    from evaluation.terminal import converse, play
    from training.device import select_device
    from training.run import Run, newest_run

    run = Run.open(options.run or newest_run(Recipe.out_dir), options.overrides)
    config = run.recipe.eval
    select_device(run.recipe.train.device)
    network, tokenizer = run.load_model(), run.tokenizer()
    print(f"{run.path}: {run.recipe.model.n_params():,} parameters", flush=True)
    writer = Writer(network, tokenizer, config)
    if options.only_play:
        for prompt in options.prompts or []:
            play(writer, prompt)
        if options.interactive:
            converse(writer)
        return 0
    held_out = measure(network, tokenizer, run.recipe.data.dir, config)
    print(describe(held_out), flush=True)
    continuations = [play(writer, prompt) for prompt in config.prompts]
    for path in write_report(run, held_out, continuations):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    run_main(main)
