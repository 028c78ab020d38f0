import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from common.errors import UserError
from corpus.config import SourceConfig
from corpus.hub import fetch_files, is_address, local_model, matches, parse_address
from corpus.pipeline import build
from tests.corpus.hub_server import COMMIT, ModelScopeHandler, serve

FOLDER = Path("data/raw/hf/datasets/owner--poems")
ADDRESS = "hf://datasets/owner/poems/**.parquet"


@pytest.fixture
def server(tmp_path, monkeypatch, random_texts):
    """A hub with a data set and a model; the test runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    texts = random_texts(300)
    files = {"README.md": b"# Poems\n", "data/notes.txt": b"x"}
    for number in range(2):
        table = pa.table({"text": texts[number::2]})
        parquet.write_table(table, tmp_path / "table", compression="none")
        files[f"data/part-{number}.parquet"] = (tmp_path / "table").read_bytes()
    (tmp_path / "table").unlink()
    model = {"config.json": b"{}", "model.safetensors": bytes(2000), "model.bin": b"pickle"}
    model |= {"tokenizer.model": b"pieces", "sub/other.json": b"{}", "a-q8.gguf": b"GGUF"}
    with serve({"datasets/owner/poems": files, "models/owner/small": model}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        yield running


def names(paths):
    return [str(path.relative_to(FOLDER)) for path in paths]


def test_files_are_fetched_once_and_their_commit_is_kept(server, capsys):
    paths, commit = fetch_files(ADDRESS)
    assert names(paths) == ["data/part-0.parquet", "data/part-1.parquet"]
    assert commit == COMMIT
    for path in paths:
        content = server.files["datasets/owner/poems"][str(path.relative_to(FOLDER))]
        assert path.read_bytes() == content
    assert not (FOLDER / "README.md").exists()
    assert "fetching owner/poems: data/part-1.parquet" in capsys.readouterr().out
    server.requests.clear()
    server.commit = "f" * 40  # a newer one does not come by itself
    assert fetch_files(ADDRESS) == (paths, COMMIT)
    assert server.requests == [] and capsys.readouterr().out == ""
    assert names(fetch_files("hf://datasets/owner/poems/data/*.txt")[0]) == ["data/notes.txt"]


def test_what_was_begun_is_gone_on_with(server):
    content = bytes(range(256)) * 48_000  # the library writes blocks of 10 MiB
    server.files["datasets/owner/poems"]["big.jsonl"] = content
    server.cut_after = 11 << 20
    try:
        (path,), _ = fetch_files("hf://datasets/owner/poems/big.jsonl")
    except UserError as error:
        assert "run again: what was fetched is kept" in str(error)
        (path,), _ = fetch_files("hf://datasets/owner/poems/big.jsonl")
    assert path.read_bytes() == content
    assert sum(f"bytes={10 << 20}-" in request for request in server.requests) == 1


def test_a_file_that_is_not_as_listed_is_deleted(server):
    server.spoiled.add("data/part-1.parquet")
    with pytest.raises(UserError, match=r"part-1\.parquet .* is not as the hub lists it"):
        fetch_files(ADDRESS)
    assert (FOLDER / "data/part-0.parquet").exists()
    assert not (FOLDER / "data/part-1.parquet").exists()
    server.spoiled.clear()
    assert len(fetch_files(ADDRESS)[0]) == 2


def test_a_revision_is_pinned(server):
    assert fetch_files("hf://datasets/owner/poems@v1/**.parquet")[1] == COMMIT
    assert any("/revision/v1" in request for request in server.requests)
    assert fetch_files(f"hf://datasets/owner/poems@{COMMIT}/**.parquet")[1] == COMMIT
    with pytest.raises(UserError, match="holds revision v1 .* asks for main; delete that folder"):
        fetch_files("hf://datasets/owner/poems@main/**.parquet")


def test_what_cannot_be_fetched(server):
    with pytest.raises(UserError, match="cannot fetch the list of files of owner/none"):
        fetch_files("hf://datasets/owner/none/*.parquet")
    with pytest.raises(UserError, match=r"no file that matches \*\.csv; it holds README.md, data/"):
        fetch_files("hf://datasets/owner/poems/*.csv")
    with pytest.raises(UserError, match="names a model; a data set is written hf://datasets/"):
        fetch_files("hf://owner/poems/*.csv")
    for path in ("hf://owner", "s3://bucket/a.txt", "hf://../x/y"):
        with pytest.raises(UserError, match="names no files that can be fetched"):
            parse_address(path, "dataset")
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="check name, revision and network, then run again"):
        fetch_files("hf://datasets/owner/more/*.csv")


def test_the_manifest_names_the_commit(server, make_data, tokenizer_config):
    data = replace(make_data(10), sources=[SourceConfig("parquet", ADDRESS)], dir="made")
    report = build(tokenizer_config, data)
    assert report.train.sources[0].read == 300
    for name in ("pretrain_data.json", "val_data.json"):
        assert json.loads(Path("made", name).read_text())["commits"] == {ADDRESS: COMMIT}
    assert build(tokenizer_config, data).up_to_date


def test_a_model_to_start_from(server):
    folder = local_model("hf://owner/small")
    found = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert found == {"config.json", "model.safetensors", "revision.json", "tokenizer.model"}
    assert local_model("hf://owner/small/a-q8.gguf") == folder / "a-q8.gguf"
    assert local_model("out/demo") == Path("out/demo")


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a.parquet", "**.parquet", True),
        ("x/y/a.parquet", "**.parquet", True),
        ("x/y/a.parquet", "**/*.parquet", True),
        ("a.parquet", "**/*.parquet", True),
        ("x/a.parquet", "*.parquet", False),
        ("x/a.parquet", "x/?.parquet", True),
        ("x/a1.json", "x/a[0-9].json", True),
        ("x/ab.json", "x/a[0-9].json", False),
        ("x/a+b.json", "x/a+b.json", True),
        ("x/axb", "x/a.b", False),
    ],
)
def test_patterns(path, pattern, expected):
    assert matches(path, pattern) is expected


def test_paths_are_no_addresses():
    assert not any(map(is_address, ("data/raw/*.jsonl", "C:/a", "~/x", "")))


@pytest.fixture
def modelscope(tmp_path, monkeypatch):
    """ModelScope with a data set and a model; the test runs in an empty folder."""
    pytest.importorskip("modelscope_hub")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    files = {"poems/a.jsonl": b'{"text": "a"}' * 300, "README.md": b"# Poems"}
    model = {"config.json": b"{}", "model.safetensors": bytes(2000), "model.bin": b"pickle"}
    repositories = {"datasets/owner/poems": files, "models/owner/small": model}
    with serve(repositories, ModelScopeHandler) as running:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.address)
        yield running


def test_modelscope(modelscope):
    (path,), commit = fetch_files("modelscope://owner/poems/**.jsonl")
    assert path == Path("data/raw/modelscope/datasets/owner--poems/poems/a.jsonl")
    assert path.read_bytes() == modelscope.files["datasets/owner/poems"]["poems/a.jsonl"]
    assert commit.startswith("master:")
    modelscope.requests.clear()
    assert fetch_files("modelscope://owner/poems/**.jsonl") == ([path], commit)
    assert modelscope.requests == []
    folder = local_model("modelscope://owner/small")
    assert {path.name for path in folder.glob("*.*") if path.name != ".lock"} >= {
        *("config.json", "model.safetensors")
    }
    assert not (folder / "model.bin").exists()
    with pytest.raises(UserError, match="cannot fetch the list of files of owner/none"):
        fetch_files("modelscope://owner/none/*.jsonl")


def test_modelscope_file_that_changed_since_it_was_listed(modelscope):
    modelscope.spoiled.add("poems/a.jsonl")
    with pytest.raises(UserError, match=r"a\.jsonl"):
        fetch_files("modelscope://owner/poems/**.jsonl")
    assert not Path("data/raw/modelscope/datasets/owner--poems/poems/a.jsonl").exists()
    modelscope.spoiled.clear()
    assert len(fetch_files("modelscope://owner/poems/**.jsonl")[0]) == 1
