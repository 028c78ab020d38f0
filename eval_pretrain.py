"""See what a run has learned: python eval_pretrain.py [--run out/demo] [--help]."""

from collections.abc import Iterable
from pathlib import Path

from common.errors import run_main
from evaluation.options import parse_options
from recipe import Recipe
from runs.environment import prepare_environment


def main() -> int:
    """Evaluate a run and write its report, or only continue prompts."""
    options = parse_options(description=__doc__)
    prepare_environment(options.run or Path(Recipe.out_dir), serves=options.web)
    # MindSpore reads its environment when it is imported.
    from mindspore import dtype as mstype

    from chat.template import ChatTemplate
    from evaluation.compare import compare
    from evaluation.evaluate import Evaluation, evaluate_best_of
    from evaluation.exams.idiom_table import learns_idioms
    from evaluation.trained_further import evaluate_trained_further
    from generation.play import play
    from generation.writer import Writer
    from runs.device import select_device, select_kernels
    from runs.run import Run, newest_run
    from serving.chat_terminal import converse_in_turns
    from serving.server import serve_page
    from serving.terminal import converse

    if options.compare:
        return name_files(compare(options.compare))
    path = options.run or newest_run(Recipe.out_dir)
    if options.web:
        serve_page(path, options.web_port, options.overrides)
        return 0
    run = Run.open(path, options.overrides)
    config = run.recipe.eval
    template = ChatTemplate.load(run.path, run.tokenizer()) if options.chat else None
    select_device(run.recipe.train.device)
    if options.best_of:
        return name_files(evaluate_best_of(run, options.best_of, options.prompts))
    native, _ = select_kernels(run.recipe.train.kernels, mstype.float32)
    network, tokenizer = run.load_model(weights=config.weights, native=native), run.tokenizer()
    step = run.chosen_checkpoint.step
    summary = f"{run.path}: {run.recipe.model.n_params():,} parameters, step {step:,}"
    if config.weights == "int8":
        megabytes = sum(p.nbytes for p in network.get_parameters()) / 1e6
        summary += f", as int8 in {megabytes:,.1f} MB"
    print(summary, flush=True)
    writer = Writer(network, tokenizer, config)
    if options.only_play:
        for prompt in options.prompts or []:
            play(writer, prompt)
        if options.interactive:
            converse(writer)
        if template:
            converse_in_turns(writer, template)
        return 0
    if run.recipe.objective.kind != "pretrain" and not options.only_measure:
        return name_files(evaluate_trained_further(run, network))
    evaluation = Evaluation(run, network, writer)
    if options.only_measure:
        with evaluation:
            evaluation.measure_texts(options.texts)
            evaluation.take_exams(options.exams)
        return 0
    with evaluation:
        evaluation.measure_held_out()
        if learns_idioms(run.recipe.data):
            evaluation.take_idioms()
        evaluation.take_samples()
        evaluation.continue_prompts()
    print(evaluation.summary())
    return 0


def name_files(paths: Iterable[Path]) -> int:
    """Name the files that were written."""
    for path in paths:
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    run_main(main)
