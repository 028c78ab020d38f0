import contextlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import corpus.packing
from corpus.config import SourceConfig
from corpus.pipeline import build
from corpus.token_file import open_split
from corpus.vocabulary import tokenizer_for
from tokenizer.config import TokenizerConfig


def test_training_file_in_parts_holds_the_same_ids(make_data, tokenizer, tokenizer_config):
    data = make_data(300)
    whole = build(tokenizer_config, data).train
    ids = open_split(data.dir)[0].read(0, whole.tokens)
    train = build(tokenizer_config, replace(data, shard_tokens=4000)).train
    file = open_split(data.dir)[0]
    file.check(tokenizer)
    assert [part.name for part in train.parts][:2] == [
        "pretrain_data-00000.bin",
        "pretrain_data-00001.bin",
    ]
    assert {part.tokens for part in train.parts[:-1]} == {4000}
    assert (train.sha256, file.read(0, whole.tokens).tolist()) == (whole.sha256, ids.tolist())
    names = {path.name for path in Path(data.dir).glob("*.bin")}
    assert names == {"val_data.bin", *(part.name for part in train.parts)}
    build(tokenizer_config, data)
    names = {path.name for path in Path(data.dir).glob("*.bin")}
    assert names == {"val_data.bin", "pretrain_data.bin"}


def test_weights(
    make_data,
    tokenizer,
    tokenizer_config,
    tmp_path,
    random_texts,
    write_jsonl,
    capsys,
    documents_of,
):
    write_jsonl(tmp_path / "more.jsonl", random_texts(200, seed=1))
    first = make_data(300).sources[0]
    more = SourceConfig("jsonl", str(tmp_path / "more.jsonl"), weight=2.5)
    data = replace(make_data(300), sources=[first, more])
    report = build(tokenizer_config, data)
    train, val = open_split(data.dir)
    counts = Counter(documents_of(train, tokenizer))
    assert {counts[text] for text in random_texts(300)} == {0, 1}
    weighted = [counts[text] for text in random_texts(200, seed=1) if text in counts]
    assert set(weighted) == {2, 3} and 2.3 < sum(weighted) / len(weighted) < 2.7
    assert set(Counter(documents_of(val, tokenizer)).values()) == {1}
    # The effect is shown before the file is written.
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[-3:] == ["weight", "weighted", "share"]
    for row, source, weight in zip(rows, report.train.sources, ("1", "2.5")):
        share = f"{source.tokens / report.train.tokens:.1%}"
        assert row.split()[-3:] == [weight, f"{source.tokens:,}", share]


def test_run_killed_while_it_puts_the_files_in_place(make_data, monkeypatch):
    config, data = TokenizerConfig(vocab_size=350), make_data(300)
    expected = build(config, data)
    changed = replace(data, seed=7)
    move = corpus.packing._move
    for allowed in range(4):
        moves = iter(range(allowed))

        def move_or_stop(*arguments, moves=moves):
            if next(moves, None) is None:
                raise KeyboardInterrupt
            move(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr("corpus.packing._move", move_or_stop)
            with contextlib.suppress(KeyboardInterrupt):
                build(config, changed)
    after = build(config, changed)
    assert after.train.tokens == expected.train.tokens
    for file in open_split(data.dir):
        file.check(tokenizer_for(config, changed))
