"""Measure a run, part by part; what was measured is kept, and the report is written from it."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from corpus.token_file import TRAIN_NAME, TokenFile
from evaluation.best_of import (
    SHOWN,
    describe_best_of,
    measure_best_of,
    prompt_tasks,
    read_tasks,
)
from evaluation.exams.scores import CHANCE, ExamResult
from evaluation.options import BestOfOptions, ExamOptions
from evaluation.perplexity import describe, format_bits, measure, measure_text
from evaluation.report import REPORT, write_document, write_report
from evaluation.report_results import explain, verdict
from evaluation.results import Results
from evaluation.scoring import Scorer
from evaluation.suite import PROMPTS, Sample, judge, mean
from evaluation.trained_further import document_of
from generation.play import play
from generation.writer import Continuation, Writer
from model.llama import Llama
from runs.run import Run


class Evaluation:
    """The measurements of a run's checkpoint that `eval.checkpoint` names."""

    def __init__(self, run: Run, network: Llama, writer: Writer):
        """Go on from what was measured of this checkpoint, kept in this way, before."""
        self.run, self.writer, self.config = run, writer, run.recipe.eval
        self.tokenizer = tokenizer = writer.tokenizer
        self.scorer = Scorer(network, tokenizer.eos_id, self.config.batch)
        self.stride = self.config.stride or self.scorer.context
        self.step = run.chosen_checkpoint.step
        self.results = Results.of(run)
        self.measured = False

    def measure_held_out(self) -> None:
        """Loss on the validation file, in all and by source."""
        found = measure(self.scorer, self.tokenizer, self.run.recipe.data.dir, self.stride)
        self.results.stride = self.stride
        self.results.held_out, self.results.sources = found
        self._keep()
        for loss in (found[0], *found[1]):
            print(describe(loss), flush=True)
        exact = self._known("float32")
        if self.config.weights != "float32" and exact and exact.stride == self.stride:
            print(f"with float32 weights, {describe(exact.held_out)}", flush=True)

    def measure_texts(self, texts: Sequence[tuple[str, Path]]) -> None:
        """Loss on files of raw text, each with its name."""
        for name, path in texts:
            loss = measure_text(self.scorer, self.tokenizer, name, path, self.stride)
            self.results.stride = self.stride
            self.results.add_text(loss)
            self._keep()
            print(describe(loss), flush=True)

    def take_exams(self, options: ExamOptions) -> None:
        """The exams that a command line asks for."""
        # lm-eval takes seconds to import, which no other measurement should wait for.
        from evaluation.exams.take import take_benchmark
        from evaluation.lm_eval_model import LlamaLM

        for name in options.names:
            if name == "idioms":
                self.take_idioms()
            else:
                folder = options.folder(name)
                model = LlamaLM(self.scorer, self.writer)
                self._keep_exam(
                    take_benchmark(name, model, options.shots, folder, options.subjects)
                )

    def take_idioms(self) -> None:
        """The exam that is made from the demo's corpus; left out where too few are held out."""
        from evaluation.exams.idioms import take_idioms
        from evaluation.lm_eval_model import LlamaLM

        result = take_idioms(LlamaLM(self.scorer, self.writer), self.run.recipe.data)
        if result is None:
            print("exam idioms: too few idioms are held out of training, so it is skipped")
        else:
            self._keep_exam(result)

    def continue_prompts(self) -> None:
        """The recipe's prompts; those that the context has no room for are left out and named."""
        prompts = self._fitting(self.config.prompts)
        self.results.continuations = [play(self.writer, prompt) for prompt in prompts]
        self._keep()

    def take_samples(self) -> None:
        """The continuation suite, `eval.samples` of each prompt that the context has room for."""
        found: list[Continuation] = []
        for prompt in self._fitting(PROMPTS):
            found += self.writer.samples(prompt, self.config.samples)
        train_file = TokenFile.open(Path(self.run.recipe.data.dir) / TRAIN_NAME)
        self.results.samples = judge(found, self.tokenizer, train_file)
        self._keep()
        if self.results.samples:
            print(describe_samples(self.results.samples), flush=True)

    def __enter__(self) -> "Evaluation":
        """Measure within a `with` block: what was measured is in the report, however it ends."""
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the report, if there is anything new for it, and name its files."""
        if self.measured:
            for path in write_report(self.run, self.results):
                print(f"wrote {path}")

    def summary(self) -> str:
        """How good the run is after how many steps, and where to read more, in a line."""
        quality = "not measured on held-out text"
        if self.results.held_out:
            bits = format_bits(self.results.held_out)
            quality = f"{bits} bits per byte of held-out text"
        return (
            f"{self.run.path} after {self.step:,} steps: {quality}; read {self.run.path / REPORT}"
        )

    def _known(self, weights: str) -> Results | None:
        """What was measured of this checkpoint before, with its weights in a form."""
        results = Results.load(self.run.path, weights)
        current = self.step, self.tokenizer.fingerprint
        return results if results and (results.step, results.vocabulary) == current else None

    def _fitting(self, prompts: Sequence[str]) -> list[str]:
        """The prompts that the context has room for; the others are named."""
        left_out = {prompt: self.writer.obstacle(prompt) for prompt in prompts}
        for prompt, reason in left_out.items():
            if reason:
                self.results.left_out[prompt] = reason
                print(f"left out “{prompt}”: {reason}", flush=True)
        return [prompt for prompt in prompts if not left_out[prompt]]

    def _keep_exam(self, result: ExamResult) -> None:
        self.results.add_exam(result)
        self._keep()
        print(describe_exam(result), flush=True)

    def _keep(self) -> None:
        """Write down what is measured so far, before the next measurement can fail."""
        self.measured = True
        self.results.save(self.run.path)


def evaluate_best_of(
    run: Run, options: BestOfOptions, prompts: Sequence[str] | None
) -> tuple[Path, ...]:
    """Show what picking the best answers gains, keep it, and write the report; returns its paths.

    Raises:
        UserError: as `measure_best_of`; or there are no tasks.
    """
    keys = prompt_tasks(prompts) if prompts else read_tasks(run, options.tasks)
    found = measure_best_of(run, keys, options.n, options.reward)
    print(describe_best_of(found, len(prompts) if prompts else SHOWN), flush=True)
    results = Results.of(run)
    results.add_best_of(found)
    results.save(run.path)
    if run.recipe.objective.kind == "pretrain":
        return write_report(run, results)
    return write_document(document_of(run, results), run.path)


def describe_exam(exam: ExamResult) -> str:
    """The scores, a line each."""
    lines = [
        f"exam {exam.name}, {exam.shots} shots: {exam.average} over "
        f"{exam.average.questions:,} questions, chance {CHANCE:.0%} "
        f"({verdict(exam.average)}), {exam.seconds:.0f} s"
    ]
    lines += [f"  {s.name}: {s} over {s.questions:,}" for s in (*exam.categories, *exam.subjects)]
    return "\n".join([*lines, f"  {explain(exam)}"])


def describe_samples(samples: Sequence[Sample]) -> str:
    """The means of the suite, and the longest copy, in a line."""
    longest = max(samples, key=lambda sample: sample.copied_tokens)
    return (
        f"\n{len(samples)} samples of the continuation suite: "
        f"distinct-1 {mean(s.distinct_1 for s in samples):.2f}, "
        f"distinct-2 {mean(s.distinct_2 for s in samples):.2f}; "
        f"longest copy from the training file {longest.copied_tokens} tokens: {longest.copied!r}"
    )
