"""The form for Ascend, with models of its kernel in the kernel's place; no NPU is needed.

`documented_kernel` is written from the documentation of `ops.flash_attention_score` alone, also
its conditions; `graph_kernel` is one that a CPU can compile, to take a gradient of a network.
"""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from model.attention import AttentionBias, PlainAttention, attention, attention_mask
from model.flash_attention import MAX_SEQUENCES, FlashAttention, FlashMask, document_ends
from model.llama import Llama
from tests.golden.numpy_llama import loss_logits_gradients
from tests.model.cases import Gradients, batch, lively, tensors, tiny_config, values

pytestmark = pytest.mark.usefixtures("graph_mode")

# Heads of 16, the smallest that the kernel takes; two key heads of two query heads each.
SHAPE = {"n_layers": 1, "dim": 64, "n_heads": 4, "n_kv_heads": 2, "hidden_dim": 48}


@pytest.fixture
def on_ascend(monkeypatch, accelerator_forms):
    """Networks built in this test take the forms meant for an NPU."""
    monkeypatch.setattr("model.attention.on_ascend", lambda: True)


def documented_kernel(
    query, key, value, head_num, attn_mask=None, actual_seq_qlen=None, actual_seq_kvlen=None,
    scalar_value=1.0, next_tokens=2147483647, input_layout="BSH", sparse_mode=0,
):  # fmt: skip
    """softmax(Mask(scale q k^T)) v by sequence, in numpy; asserts what it demands."""
    assert query.dtype == key.dtype == value.dtype
    assert query.dtype in (mstype.float16, mstype.bfloat16)
    assert sparse_mode == 2 and attn_mask.dtype == mstype.uint8
    assert (attn_mask.asnumpy() == np.triu(np.ones((2048, 2048)), 1)).all()
    q, k, v = (x.astype(mstype.float32).asnumpy() for x in (query, key, value))
    if input_layout == "BNSD":
        assert actual_seq_qlen is None and actual_seq_kvlen is None
        rows = [one_sequence(*row, scalar_value) for row in zip(q, k, v)]
        assert q.shape[1] == head_num and q.shape[1] % k.shape[1] == 0
        return Tensor(np.stack(rows)).astype(query.dtype)
    assert input_layout == "TND" and next_tokens == 0
    assert q.shape[1] == head_num and q.shape[1] % k.shape[1] == 0
    ends, kv_ends = actual_seq_qlen.asnumpy(), actual_seq_kvlen.asnumpy()
    assert (ends == kv_ends).all() and len(ends) <= 1024
    assert ends[-1] == len(q) == len(k) and (np.diff(ends, prepend=0) >= 0).all()
    out = np.full_like(q, np.nan)
    for begin, end in zip([0, *ends], ends):
        parts = [x[begin:end].transpose(1, 0, 2) for x in (q, k, v)]
        out[begin:end] = one_sequence(*parts, scalar_value).transpose(1, 0, 2)
    return Tensor(out).astype(query.dtype)


def one_sequence(q, k, v, scale):
    """Causal from the left upper corner: q (H, S, C), k and v (K, S, C) -> (H, S, C)."""
    k, v = (np.repeat(x, len(q) // len(k), axis=0) for x in (k, v))
    scores = np.where(np.tri(q.shape[1], dtype=bool), scale * q @ k.transpose(0, 2, 1), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True, initial=-1e30))
    return weights / weights.sum(-1, keepdims=True) @ v


def graph_kernel(
    query, key, value, head_num, attn_mask=None, actual_seq_qlen=None, actual_seq_kvlen=None,
    scalar_value=1.0, next_tokens=2147483647, input_layout="BSH", sparse_mode=0,
):  # fmt: skip
    """The same from composed operators."""
    if input_layout == "TND":
        query, key, value = (x.transpose(1, 0, 2).expand_dims(0) for x in (query, key, value))
    time = query.shape[2]
    hidden = attn_mask[:time, :time].astype(mstype.float32)
    if input_layout == "TND":
        places = ops.arange(0, time).expand_dims(1)
        document = ops.reduce_sum((actual_seq_qlen <= places).astype(mstype.float32), 1)
        same = ops.equal(document.expand_dims(0), document.expand_dims(1)).astype(mstype.float32)
        hidden = ops.maximum(hidden, 1.0 - same)
    key = ops.repeat_interleave(key, head_num // key.shape[1], 1)
    value = ops.repeat_interleave(value, head_num // value.shape[1], 1)
    scores = ops.matmul(query, key.swapaxes(2, 3)).astype(mstype.float32) * scalar_value
    weights = ops.softmax(scores - 1e9 * hidden, -1).astype(query.dtype)
    out = ops.matmul(weights, value)
    return out[0].transpose(1, 0, 2) if input_layout == "TND" else out


class Ends(nn.Cell):
    def construct(self, segment_ids):
        return document_ends(segment_ids)


@pytest.mark.parametrize(
    ("segments", "ends"),
    [
        ([[0, 0, 0]], [3, 3, 3]),
        ([[0, 1, 2]], [1, 2, 3]),
        ([[0, 0, 1], [0, 0, 0]], [2, 3, 6, 6, 6, 6]),
        ([[4, 4, 4], [4, 5, 5]], [3, 4, 6, 6, 6, 6]),  # a row ends a document
    ],
)
def test_document_ends(segments, ends):
    found = Ends()(Tensor(np.array(segments, np.int32)))
    assert found.asnumpy().tolist() == ends and found.dtype == mstype.int32


def test_a_row_of_more_documents_than_one_call_takes():
    """2,050 ids: the documents from the 1,024th on are one, and the list still ends with all."""
    segments = np.arange(2050, dtype=np.int32)[None] // 2
    found = Ends()(Tensor(segments)).asnumpy()
    assert len(found) == MAX_SEQUENCES
    assert (found[:-1] == np.arange(2, 2048, 2)).all() and found[-1] == 2050


def random_case(rows, time, documents):
    """q, k, v in float16, and rows of documents of 1 to some ids."""
    config = tiny_config(**SHAPE, max_seq_len=time, document_mask=documents)
    rng = np.random.default_rng(time)
    shapes = [(rows, heads, time, config.head_dim) for heads in (4, 2, 2)]
    qkv = [Tensor(rng.standard_normal(shape).astype(np.float16)) for shape in shapes]
    segments = np.cumsum(rng.random((rows, time)) < 0.3, axis=1).astype(np.int32)
    return config, qkv, Tensor(segments)


@pytest.mark.parametrize(
    ("rows", "time", "documents", "calls"),
    [(3, 7, False, 0), (3, 7, True, 1), (5, 400, True, 3), (2, 1100, True, 2)],
    ids=["causal", "documents", "several rows a call", "long rows"],
)
def test_it_is_the_plain_form(rows, time, documents, calls, monkeypatch):
    """With the kernel that the documentation describes, values are those of the plain form."""
    config, qkv, segments = random_case(rows, time, documents)
    mask = FlashMask(documents)(segments)
    assert len(mask) == 1 + calls
    bias = AttentionBias(config)(segments)
    right = PlainAttention(config.head_dim)(*(x.astype(mstype.float32) for x in qkv), bias)
    monkeypatch.setattr(ops, "flash_attention_score", documented_kernel)
    ms.set_context(mode=ms.PYNATIVE_MODE)
    try:
        got = FlashAttention(config.n_heads, config.head_dim).construct(*qkv, mask)
    finally:
        ms.set_context(mode=ms.GRAPH_MODE)
    assert got.shape == right.shape and got.dtype == mstype.float16
    assert np.abs(got.asnumpy().astype(np.float32) - right.asnumpy()).max() < 2e-3


@pytest.mark.parametrize("documents", [False, True], ids=["causal", "documents"])
def test_a_network_with_it_compiles(documents, on_ascend, monkeypatch):
    """Loss, logits and all gradients in one graph, in float16 products."""
    config = tiny_config(**SHAPE, document_mask=documents)
    monkeypatch.setattr(ops, "flash_attention_score", graph_kernel)
    network = lively(Llama(config, mstype.float16))
    assert isinstance(network.layers[0].attention.attend, FlashAttention)
    (loss, logits), gradients = Gradients(network)(*tensors(batch()))
    right = loss_logits_gradients(config, values(network), *batch())
    gradients = {p.name: g for p, g in zip(network.trainable_params(), gradients)}
    pairs = [(loss, right[0]), (logits, right[1]), *((gradients[n], right[2][n]) for n in right[2])]
    for got, expected in pairs:
        assert np.abs(got.asnumpy() - expected).max() <= 0.02 * np.abs(expected).max()


def test_it_adds_no_parameters(on_ascend):
    names = values(Llama(tiny_config(**SHAPE), mstype.float16)).keys()
    assert names == values(Llama(tiny_config(**SHAPE))).keys()


@pytest.mark.parametrize("documents", [False, True], ids=["causal", "documents"])
def test_only_the_kernel_is_missing_here(documents, on_ascend):
    """MindSpore's own checks of shapes and types accept the call, gradient included."""
    network = Llama(tiny_config(**SHAPE, document_mask=documents), mstype.float16)
    with pytest.raises(RuntimeError, match=r"Unsupported op \[FlashAttentionScore(Grad)?\] on CPU"):
        Gradients(network)(*tensors(batch()))


def test_who_gets_it(on_ascend, monkeypatch):
    def forms(dtype, **shape):
        config = tiny_config(**{**SHAPE, **shape})
        return type(attention(config, dtype)), type(attention_mask(config, dtype))

    plain = (PlainAttention, AttentionBias)
    assert forms(mstype.bfloat16) == forms(mstype.float16) == (FlashAttention, FlashMask)
    assert forms(mstype.float32) == plain, "the kernel has no float32"
    assert forms(mstype.bfloat16, dim=32) == plain, "heads of 8"
    assert forms(mstype.bfloat16, dim=4 * 528) == plain, "heads of 528"
    monkeypatch.setattr("model.attention.on_ascend", lambda: False)
    assert forms(mstype.float16) == plain, "a GPU"
