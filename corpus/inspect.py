"""Show what is in a token file: python -m corpus.inspect [data/pretrain_data.bin] [--help]."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.errors import run_main
from common.files import atomic_open
from common.tables import format_table
from corpus.manifest import Manifest
from corpus.token_file import TRAIN_NAME, TokenFile
from tokenizer.tokenizer import Tokenizer, load_tokenizer

RARE = 10
SHOWN_CHARS = 300
MAX_LENGTH = 1 << 16
BINS = 60


@dataclass
class Scan:
    """What one reading of a token file gathers, in memory that does not grow with the file."""

    uses: np.ndarray
    """how often each id stands in the file, (V,)"""
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(MAX_LENGTH + 1, np.int64))
    """number of documents of each length in ids, <eos> included; the last: that long or longer"""
    longest: int = 0
    chosen: list[tuple[float, int, int]] = field(default_factory=list)
    """random documents: a random number, begin and end in the file"""

    @property
    def documents(self) -> int:
        """Documents that end in the file."""
        return int(self.lengths.sum())

    def quantile(self, share: float) -> int:
        """Length that `share` of the documents do not exceed."""
        return int(np.searchsorted(np.cumsum(self.lengths), share * self.documents))


def scan(file: TokenFile, tokenizer: Tokenizer, documents: int, seed: int) -> Scan:
    """Read a token file once; `documents` of it are chosen at random, the same for a `seed`."""
    result = Scan(np.zeros(tokenizer.vocab_size, np.int64))
    rng = np.random.default_rng(seed)
    position = begin = 0
    for _, ids in file.blocks():
        result.uses += np.bincount(ids, minlength=len(result.uses))
        ends = position + np.flatnonzero(ids == tokenizer.eos_id) + 1
        position += len(ids)
        if not len(ends):
            continue
        begins = np.concatenate([[begin], ends[:-1]])
        begin = int(ends[-1])
        lengths = ends - begins
        result.lengths += np.bincount(np.minimum(lengths, MAX_LENGTH), minlength=MAX_LENGTH + 1)
        result.longest = max(result.longest, int(lengths.max()))
        draws = rng.random(len(ends))
        least = np.argsort(draws)[:documents]
        found = zip(draws[least].tolist(), begins[least].tolist(), ends[least].tolist())
        result.chosen = sorted([*result.chosen, *found])[:documents]
    return result


def plot_lengths(found: Scan, path: Path) -> None:
    """Draw the histogram of document lengths, on a logarithmic axis, into a PNG file."""
    from matplotlib.figure import Figure

    edges = np.unique(np.geomspace(1, max(2, found.longest) + 1, BINS).astype(int))
    lengths = np.flatnonzero(found.lengths)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.hist(lengths, bins=edges, weights=found.lengths[lengths], color="tab:blue")
    axes.axvline(found.quantile(0.5), color="tab:orange", label="median")
    axes.set(xscale="log", xlabel="tokens in a document", ylabel="documents")
    axes.set_title(f"{found.documents:,} documents")
    axes.legend()
    with atomic_open(path) as file:
        figure.savefig(file, format="png", dpi=120)


def describe(file: TokenFile, found: Scan, tokenizer: Tokenizer) -> list[str]:
    """Lines on the file, its sources, the lengths of its documents, and its vocabulary."""
    manifest = file.manifest
    state = "SHA-256 as in the manifest" if manifest else "no manifest, so nothing to check against"
    lines = [f"{file.path}: {file.n_tokens:,} tokens of {file.dtype.name}; {state}"]
    if manifest:
        lines += ["", format_table(_source_rows(manifest)), "", manifest.split]
    quantiles = ", ".join(
        f"{name} {found.quantile(q):,}" for name, q in (("median", 0.5), ("nine in ten up to", 0.9))
    )
    lines += [
        "",
        f"documents: {found.documents:,}; tokens in one: {quantiles}, most {found.longest:,}",
    ]
    used, rare = int((found.uses > 0).sum()), int(((found.uses > 0) & (found.uses < RARE)).sum())
    lines.append(
        f"vocabulary: {used:,} of {len(found.uses):,} ids occur ({used / len(found.uses):.1%}), "
        f"{rare:,} of them fewer than {RARE} times"
    )
    for _, begin, end in found.chosen:
        text = tokenizer.decode(file.read(begin, min(end, begin + SHOWN_CHARS)).tolist())
        more = "…" if end - begin > SHOWN_CHARS or len(text) > SHOWN_CHARS else ""
        lines += ["", f"--- tokens {begin:,} to {end:,}", text[:SHOWN_CHARS] + more]
    return lines


def _source_rows(manifest: Manifest) -> list[tuple[str, ...]]:
    rows = [("source", "documents", "characters", "tokens")]
    for counts, name in [*((s, s.name) for s in manifest.sources), (manifest, "all")]:
        numbers = (counts.documents, counts.characters, counts.tokens)
        rows.append((name, *(f"{number:,}" for number in numbers)))
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Check a token file, print what is in it, and draw the lengths of its documents."""
    parser = argparse.ArgumentParser(prog="python -m corpus.inspect", description=__doc__)
    parser.add_argument("file", nargs="?", default=f"data/{TRAIN_NAME}")
    parser.add_argument("--documents", type=int, default=3, help="random documents to show")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of documents")
    parser.add_argument(
        "--tokenizer", help="tokenizer.model or its folder; else the folder of the token file"
    )
    options = parser.parse_args(argv)
    path = Path(options.file)
    file = TokenFile.open(path)
    kind = file.manifest.tokenizer["kind"] if file.manifest else "sentencepiece"
    tokenizer = load_tokenizer(kind, options.tokenizer or path.parent, cache=path.parent)
    file.check(tokenizer)
    found = scan(file, tokenizer, options.documents, options.seed)
    print("\n".join(describe(file, found, tokenizer)))
    picture = path.with_name(f"{path.stem}_lengths.png")
    plot_lengths(found, picture)
    print(f"\nwrote {picture}")
    return 0


if __name__ == "__main__":
    run_main(main)
