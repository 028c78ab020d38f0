"""A whole CMMLU, made up in the form in which it is published, taken by an untrained model.

    python -m benchmarks.exams

writes 67 subjects of invented questions, as many as the real exam has, and takes it twice: that
shows that the exam runs to its end, what time and memory it costs, that it is deterministic, and
that chance lies inside the interval of a model that knows nothing. `--data DIR` takes real files.
"""

import argparse
import csv
import random
import resource
import tempfile
from pathlib import Path

from evaluation.config import EvalConfig
from evaluation.exams.benchmarks import BENCHMARKS, LETTERS
from evaluation.exams.scores import CHANCE
from model.config import ModelConfig
from runs.environment import prepare_environment
from tokenizer.tokenizer import Tokenizer, load_tokenizer
from tokenizer.train import train_sentencepiece

VOCAB_SIZE = 64_794
"""ChatGLM2's; the invented tokenizer uses the first 600 ids of it."""

QUESTIONS, SHOTS = 172, 5
"""A subject; the real exam has 11,582 questions in 67 subjects."""
SYLLABLES = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁"


def write_cmmlu(folder: Path, questions: int = QUESTIONS, seed: int = 0) -> None:
    """Write dev/ and test/ of CMMLU with invented questions whose answers are drawn by lot."""
    for subject in sorted(BENCHMARKS["cmmlu"].subjects()):
        rng = random.Random(f"{seed} {subject}")
        for split, count in (("dev", SHOTS), ("test", questions)):
            path = folder / split / f"{subject}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "w", encoding="utf-8", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(["", "Question", *LETTERS, "Answer"])
                for number in range(count):
                    choices = [sentence(rng, 12) for _ in LETTERS]
                    rows.writerow([number, sentence(rng, 45), *choices, rng.choice(LETTERS)])


def sentence(rng: random.Random, longest: int) -> str:
    """Some characters that mean nothing."""
    return "".join(rng.choices(SYLLABLES, k=rng.randint(3, longest)))


def invented_tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    """A tokenizer of invented text and of the exam's own words."""
    rng = random.Random(0)
    texts = [sentence(rng, 60) for _ in range(2000)]
    texts += ["以下是关于解剖学的单项选择题，请直接给出正确答案的选项。\nA. B. C. D. 答案："] * 200
    train_sentencepiece(texts, vocab_size, folder / "tokenizer.model")
    return load_tokenizer("sentencepiece", folder)


def main() -> None:
    """Take the exam twice and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a real CMMLU folder (an invented one)")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="a subject")
    parser.add_argument("--dim", type=int, default=288)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--seq", type=int, default=512)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare_environment(Path(folder))
        # MindSpore reads its environment when it is imported.
        from evaluation.exams.take import take_benchmark
        from evaluation.lm_eval_model import LlamaLM
        from evaluation.scoring import Scorer
        from generation.writer import Writer
        from model.llama import Llama
        from runs.device import select_device

        select_device("CPU")
        tokenizer = invented_tokenizer(Path(folder), 600)
        if options.data is None:
            write_cmmlu(Path(folder), options.questions)
        config = ModelConfig(
            dim=options.dim, n_layers=options.layers, n_heads=6, max_seq_len=options.seq,
            vocab_size=VOCAB_SIZE,
        )  # fmt: skip
        network = Llama(config, seed=1)
        print(f"{config.n_params():,} parameters, context {config.max_seq_len}", flush=True)
        writer = Writer(network, tokenizer, EvalConfig())
        model = LlamaLM(Scorer(network, tokenizer.eos_id), writer)
        data = options.data or Path(folder)
        first, second = (take_benchmark("cmmlu", model, SHOTS, data) for _ in range(2))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    average = first.average
    print(f"{average.questions:,} questions, {SHOTS} shots: {average}, chance {CHANCE:.0%}")
    print(f"shots left out: {first.dropped_shots:,}; questions cut: {first.cut_prompts:,}")
    print(f"{first.seconds:,.0f} s and {second.seconds:,.0f} s, peak memory {peak:.2f} GiB")
    print(f"chance inside the interval: {average.at_chance}")
    print(f"the same twice: {first.subjects == second.subjects}")


if __name__ == "__main__":
    main()
