import pytest

import tokenizer.fetch as fetch_module
from common.errors import UserError
from common.files import sha256_file
from tokenizer.fetch import fetch_model, is_hub_name
from tokenizer.tokenizer import load_tokenizer
from tokenizer.train import train_sentencepiece

TEXTS = [
    "",
    " ",
    "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n",
    "  两个空格  在中间  \n\n\n空行\t制表符\r\n",
    "全角：ＡＢＣ１２３，。！？　半角:ABC123,.!?",
    "表情😀👨‍👩‍👧🇨🇳，生僻字𠀀䶮，日本語かな，한국어",
    "e\u0301 与 é 不同；<s></s><unk>[gMASK]<|user|>",
    "\x00\x01\u200b\ufeff",
]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    train_sentencepiece(["今天天气很好，我们去公园。\n明天 2024 年。" * 3] * 20, 290, path)
    return path


@pytest.fixture(scope="module", params=["sentencepiece", "chatglm2", "chatglm3"])
def any_tokenizer(request, model_file):
    if request.param == "sentencepiece":
        return load_tokenizer("sentencepiece", model_file)
    return load_tokenizer(request.param, request.getfixturevalue("chatglm_model"))


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_every_text_round_trips(any_tokenizer, text):
    assert any_tokenizer.decode(any_tokenizer.encode(text)) == text


def test_batch_equals_one_by_one_and_has_no_special_ids(any_tokenizer):
    batch = any_tokenizer.encode_batch(TEXTS)
    assert batch == [any_tokenizer.encode(text) for text in TEXTS]
    assert batch == any_tokenizer.encode_batch(TEXTS, threads=1)
    assert all(any_tokenizer.eos_id not in ids for ids in batch)


def test_byte_ids_stand_for_the_bytes_of_a_character_without_a_piece(any_tokenizer):
    assert len(any_tokenizer.byte_ids) == 256
    assert any_tokenizer.byte_ids.issuperset(any_tokenizer.encode("𠀀")[-4:])
    assert any_tokenizer.byte_ids.isdisjoint(any_tokenizer.encode("今天"))


def test_decode_drops_special_and_padding_ids(any_tokenizer):
    ids = any_tokenizer.encode("明月")
    special = [any_tokenizer.eos_id, any_tokenizer.vocab_size, any_tokenizer.vocab_size + 63, -1]
    if any_tokenizer.kind != "sentencepiece":
        special.append(any_tokenizer.vocab_size - 1)
    assert any_tokenizer.decode(ids + special) == "明月"


def test_saved_copy_is_the_same_tokenizer(any_tokenizer, tmp_path):
    any_tokenizer.save(tmp_path)
    copy = load_tokenizer(any_tokenizer.kind, tmp_path)
    assert copy.fingerprint == any_tokenizer.fingerprint
    assert copy.vocab_size == any_tokenizer.vocab_size


@pytest.mark.parametrize(("kind", "size"), [("chatglm2", 64794), ("chatglm3", 64798)])
def test_chatglm_equals_mindformers(chatglm_model, kind, size):
    ours = load_tokenizer(kind, chatglm_model)
    from mindformers import models

    classes = {"chatglm2": models.ChatGLM2Tokenizer, "chatglm3": models.ChatGLM3Tokenizer}
    theirs = classes[kind](str(chatglm_model))
    assert ours.vocab_size == theirs.vocab_size == size
    assert ours.eos_id == theirs.eos_token_id == 2
    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False)


def test_fingerprint_names_the_kind_too(chatglm_model):
    kinds = ("sentencepiece", "chatglm2", "chatglm3")
    assert len({load_tokenizer(kind, chatglm_model).fingerprint for kind in kinds}) == 3


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.model does not exist"):
        load_tokenizer("sentencepiece", tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 100])
def test_file_that_is_no_model(tmp_path, content):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a SentencePiece model"):
        load_tokenizer("sentencepiece", path)


def test_fetch_without_network_says_where_to_put_the_file(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", no_network)
    with pytest.raises(UserError, match=r"put the file at .*chatglm3-6b/tokenizer\.model"):
        load_tokenizer("chatglm3", "THUDM/chatglm3-6b", cache=tmp_path)


def test_fetched_file_is_checked_and_kept(tmp_path, monkeypatch):
    downloads = []

    def download(name, file_name, local_dir):
        downloads.append(name)
        local_dir.mkdir(parents=True)
        (local_dir / file_name).write_bytes(b"published")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(UserError, match="not the published file"):
        fetch_model("THUDM/chatglm2-6b", tmp_path)
    path = tmp_path / "chatglm2-6b" / "tokenizer.model"
    monkeypatch.setattr(fetch_module, "CHATGLM_SHA256", sha256_file(path))
    assert fetch_model("THUDM/chatglm2-6b", tmp_path) == path
    assert downloads == ["THUDM/chatglm2-6b"]


def test_local_folder_wins_over_hub_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_hub_name("THUDM/chatglm2-6b")
    (tmp_path / "THUDM" / "chatglm2-6b").mkdir(parents=True)
    assert not is_hub_name("THUDM/chatglm2-6b")
