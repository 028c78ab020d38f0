"""Llama2 in numpy float64, forward and backward by hand: what the network is checked against.

Written from the papers (RMSNorm arXiv:1910.07467, rotary arXiv:2104.09864, grouped queries
arXiv:2305.13245, SwiGLU arXiv:2002.05202) and not from `model/`: key heads are really repeated,
masks are booleans, positions are turned with full-width tables. `shape` is anything with
ModelConfig's attributes; `params` maps the network's parameter names to arrays. Shape letters as
in `model/llama.py`.
"""

import numpy as np


def loss_logits_gradients(shape, params, tokens, targets, loss_weight, segment_ids):
    """Summed weighted cross-entropy in nats, logits (B, T, V), and the gradient of each parameter.

    All inputs are (B, T).
    """
    params = {name: value.astype(np.float64) for name, value in params.items()}
    table = params["embedding" if shape.tie_embeddings else "output"]
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    allowed = visible(segment_ids, shape.document_mask)

    x = params["embedding"][tokens]
    saved = []
    for i in range(shape.n_layers):
        x, kept = block(x, Layer(params, grads, i), shape, allowed)
        saved.append(kept)
    h, norm_kept = rms_norm(x, params["norm.weight"], shape.norm_eps)
    logits = h @ table.T
    loss, dlogits = cross_entropy(logits, targets, loss_weight)

    dtable = np.einsum("btv,btd->vd", dlogits, h)
    dx, grads["norm.weight"] = rms_norm_backward(dlogits @ table, norm_kept)
    for i in reversed(range(shape.n_layers)):
        dx = block_backward(dx, Layer(params, grads, i), shape, saved[i])
    np.add.at(grads["embedding"], tokens, dx)
    grads["embedding" if shape.tie_embeddings else "output"] += dtable
    return loss, logits, grads


class Layer:
    """The parameters and gradients of layer i, by their short names."""

    def __init__(self, params, grads, i):
        self.params, self.grads, self.prefix = params, grads, f"layers.{i}."

    def __getitem__(self, name):
        return self.params[self.prefix + name]

    def add(self, name, grad):
        self.grads[self.prefix + name] += grad

    def dense(self, name, x):
        """x W^T, with the bias where there is one."""
        return x @ self[name + ".weight"].T + self.params.get(f"{self.prefix}{name}.bias", 0.0)

    def dense_backward(self, name, x, dy):
        """Gradient of x; that of the parameters is noted."""
        self.add(name + ".weight", np.einsum("bto,bti->oi", dy, x))
        if f"{self.prefix}{name}.bias" in self.params:
            self.add(name + ".bias", dy.sum((0, 1)))
        return dy @ self[name + ".weight"]


def visible(segment_ids, document_mask):
    """Which position (row) may look at which (column): (B, 1, T, T) of bool."""
    time = segment_ids.shape[1]
    allowed = np.tril(np.ones((time, time), bool))[None]
    if document_mask:
        allowed = allowed & (segment_ids[:, :, None] == segment_ids[:, None, :])
    return np.broadcast_to(allowed, (len(segment_ids), time, time))[:, None]


def block(x, layer, shape, allowed):
    a, norm1 = rms_norm(x, layer["attention_norm.weight"], shape.norm_eps)
    mixed, attended = attention(a, layer, shape, allowed)
    x = x + mixed
    f, norm2 = rms_norm(x, layer["ffn_norm.weight"], shape.norm_eps)
    gated, fed = feed_forward(f, layer)
    return x + gated, (norm1, attended, norm2, fed)


def block_backward(dx, layer, shape, saved):
    norm1, attended, norm2, fed = saved
    df, grad = rms_norm_backward(feed_forward_backward(dx, layer, fed), norm2)
    layer.add("ffn_norm.weight", grad)
    dx = dx + df
    da, grad = rms_norm_backward(attention_backward(dx, layer, shape, attended), norm1)
    layer.add("attention_norm.weight", grad)
    return dx + da


def rms_norm(x, weight, eps):
    root = np.sqrt(np.mean(x**2, -1, keepdims=True) + eps)
    return x / root * weight, (x, weight, root)


def rms_norm_backward(dy, saved):
    x, weight, root = saved
    unit, dunit = x / root, dy * weight
    dx = (dunit - unit * np.mean(dunit * unit, -1, keepdims=True)) / root
    return dx, (dy * unit).sum((0, 1))


def rope(x, theta, back=False):
    """Turn x, (B, n, T, C), by its positions; `back` turns by the opposite angles."""
    time, size = x.shape[2:]
    angles = np.arange(time)[:, None] / theta ** (np.arange(0, size, 2) / size)
    angles = np.concatenate([angles, angles], -1) * (-1 if back else 1)
    first, second = x[..., : size // 2], x[..., size // 2 :]
    return x * np.cos(angles) + np.concatenate([-second, first], -1) * np.sin(angles)


def split_heads(x, n_heads):
    return x.reshape(*x.shape[:2], n_heads, -1).transpose(0, 2, 1, 3)


def join_heads(x):
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


def attention(x, layer, shape, allowed):
    groups = shape.n_heads // shape.n_kv_heads
    q = rope(split_heads(layer.dense("attention.wq", x), shape.n_heads), shape.rope_theta)
    k = rope(split_heads(layer.dense("attention.wk", x), shape.n_kv_heads), shape.rope_theta)
    v = split_heads(layer.dense("attention.wv", x), shape.n_kv_heads)
    k, v = np.repeat(k, groups, 1), np.repeat(v, groups, 1)
    scores = np.where(allowed, q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1]), -np.inf)
    p = softmax(scores)
    out = join_heads(p @ v)
    return layer.dense("attention.wo", out), (x, q, k, v, p, out)


def attention_backward(dy, layer, shape, saved):
    x, q, k, v, p, out = saved
    dout = split_heads(layer.dense_backward("attention.wo", out, dy), shape.n_heads)
    dv = p.swapaxes(2, 3) @ dout
    dp = dout @ v.swapaxes(2, 3)
    dscores = p * (dp - (p * dp).sum(-1, keepdims=True)) / np.sqrt(q.shape[-1])
    dq = rope(dscores @ k, shape.rope_theta, back=True)
    dk = rope(dscores.swapaxes(2, 3) @ q, shape.rope_theta, back=True)
    return (
        layer.dense_backward("attention.wq", x, join_heads(dq))
        + layer.dense_backward("attention.wk", x, join_heads(sum_groups(dk, shape)))
        + layer.dense_backward("attention.wv", x, join_heads(sum_groups(dv, shape)))
    )


def sum_groups(x, shape):
    """Undo the repetition of key heads: (B, H, T, C) -> (B, K, T, C)."""
    batch, _, time, size = x.shape
    return x.reshape(batch, shape.n_kv_heads, -1, time, size).sum(2)


def feed_forward(x, layer):
    a, b = layer.dense("feed_forward.w1", x), layer.dense("feed_forward.w3", x)
    s = 1 / (1 + np.exp(-a))
    return layer.dense("feed_forward.w2", a * s * b), (x, a, b, s)


def feed_forward_backward(dy, layer, saved):
    x, a, b, s = saved
    dgated = layer.dense_backward("feed_forward.w2", a * s * b, dy)
    da = dgated * b * (s + a * s * (1 - s))
    return layer.dense_backward("feed_forward.w1", x, da) + layer.dense_backward(
        "feed_forward.w3", x, dgated * a * s
    )


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(logits, targets, weight):
    """The weighted sum of the losses in nats, and its gradient."""
    p = softmax(logits)
    one_hot = np.eye(logits.shape[-1])[targets]
    loss = -(weight * np.log((p * one_hot).sum(-1))).sum()
    return loss, weight[..., None] * (p - one_hot)
