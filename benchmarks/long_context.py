"""Loss by how far into a window a token stands: python -m benchmarks.long_context RUN... [--help].

Held-out documents are cut into windows of one length, and each run reads the same windows. A run
whose own context is shorter also reads them with its rotary angles stretched, untrained, as the
longest of the runs has them.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from common.tables import format_table
from runs.environment import prepare_environment


def main() -> None:
    """Print a table: a row for each run, a column for each range of positions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", help="run directories of one tokenizer")
    parser.add_argument("--data", required=True, help="data folder whose val_data.bin is read")
    args = parser.parse_args()
    prepare_environment(Path(args.runs[0]))
    # MindSpore reads its environment when it is imported.
    from runs.device import select_device
    from runs.run import Run

    runs = [Run.open(path) for path in args.runs]
    select_device("CPU")
    longest = max((run.recipe.model for run in runs), key=lambda model: model.max_seq_len)
    rows = read_windows(args.data, longest.max_seq_len, runs[0].tokenizer().eos_id)
    edges = position_edges(longest.max_seq_len)
    table = [["run", *(f"{a:,} to {b:,}" for a, b in zip(edges, edges[1:]))]]
    for run in runs:
        for name, model in forms(run, longest):
            # A recipe's step must be whole rows of its context.
            step = {"micro_batch": 1, "tokens_per_step": model.max_seq_len}
            train = dataclasses.replace(run.recipe.train, **step)
            recipe = dataclasses.replace(run.recipe, model=model, train=train)
            found = losses(Run(run.path, recipe), rows)
            parts = [found[:, a:b].mean(axis=1) for a, b in zip(edges, edges[1:])]
            cells = [f"{p.mean():.3f} ± {p.std(ddof=1) / len(p) ** 0.5:.3f}" for p in parts]
            table.append([name, *cells])
    print(f"{len(rows)} windows of {longest.max_seq_len:,} tokens; nats a token ± standard error")
    print(format_table(table))


def forms(run, longest) -> list:
    """A run's name and shape for the longest context, as it is and with its angles stretched."""
    own, name = run.recipe.model, run.recipe.name
    plain = dataclasses.replace(own, max_seq_len=longest.max_seq_len)
    if own.max_seq_len == longest.max_seq_len:
        return [(name, plain)]
    fields = ("rope_scaling", "rope_factor", "rope_original_len")
    stretched = dataclasses.replace(plain, **{f: getattr(longest, f) for f in fields})
    return [(name, plain), (f"{name}, {longest.rope_scaling}", stretched)]


def position_edges(context: int) -> list[int]:
    """Where ranges of positions begin and the last ends: eighths at first, then twice as many."""
    return [0, context // 8, context // 4, context // 2, context]


def read_windows(folder: str, context: int, eos_id: int) -> np.ndarray:
    """Whole windows of context + 1 ids within held-out documents: (rows, context + 1)."""
    from corpus.token_file import VAL_NAME, TokenFile

    file = TokenFile.open(Path(folder) / VAL_NAME)
    ids = np.array(file.read(0, file.n_tokens))
    windows = []
    for document in np.split(ids, np.flatnonzero(ids == eos_id) + 1):
        document = np.concatenate(([eos_id], document))
        count = (len(document) - 1) // context
        windows += [document[i * context : (i + 1) * context + 1] for i in range(count)]
    return np.stack(windows).astype(np.int32)


def losses(run, rows: np.ndarray) -> np.ndarray:
    """Nats of each target of each window: (rows, context)."""
    from mindspore import Tensor

    from evaluation.scoring import TokenScores

    scores = TokenScores(run.load_model())
    found = []
    for row in rows:
        tokens, targets = row[None, :-1].copy(), row[None, 1:].copy()
        found.append(-scores(*map(Tensor, (tokens, np.zeros_like(tokens), targets)))[0].asnumpy())
    return np.concatenate(found)


if __name__ == "__main__":
    main()
