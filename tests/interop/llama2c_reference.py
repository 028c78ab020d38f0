"""What llama2.c's programs make of their files, written anew from their description, in numpy.

It shares no code with `interop`: it reads model.bin and tokenizer.bin by position, cuts text as
the program does (id 1, a space, characters, then the best merge again and again), turns
neighbouring pairs, and stops at the id 1.
"""

import re
import struct
from pathlib import Path

import numpy as np

MATRICES = ("wq", "wk", "wv", "wo", "w1", "w2", "w3")


class Vocabulary:
    """tokenizer.bin."""

    def __init__(self, path: Path, n_ids: int):
        data, offset = path.read_bytes(), 4
        self.texts, self.scores = [], []
        for _ in range(n_ids):
            score, length = struct.unpack_from("<fi", data, offset)
            self.texts.append(data[offset + 8 : offset + 8 + length])
            self.scores.append(score)
            offset += 8 + length
        assert offset == len(data)
        assert struct.unpack_from("<i", data)[0] == max(map(len, self.texts))
        self.ids = {text: i for i, text in enumerate(self.texts)}
        assert len(self.ids) == n_ids, "the program's search wants every text once"

    def encode(self, text: str) -> list[int]:
        ids = [1]
        if text:
            ids.append(self.ids[b" "])
        for character in text:
            found = self.ids.get(character.encode())
            ids += [byte + 3 for byte in character.encode()] if found is None else [found]
        while True:
            pairs = [self.ids.get(self.texts[a] + self.texts[b]) for a, b in zip(ids, ids[1:])]
            places = [i for i, merged in enumerate(pairs) if merged is not None]
            if not places:
                return ids
            best = max(places, key=lambda i: self.scores[pairs[i]])  # the leftmost of equals
            ids[best : best + 2] = [pairs[best]]

    def spell(self, before: int, token: int) -> bytes:
        """What is printed for an id: bytes of characters that the vocabulary lacks are left out."""
        text = self.texts[token]
        if before == 1 and text.startswith(b" "):
            text = text[1:]
        byte = re.fullmatch(rb"<0x([0-9A-F]{2})>", text)
        if byte:
            text = bytes.fromhex(byte[1].decode())
            return (
                text if text.isspace() or (text.isascii() and chr(text[0]).isprintable()) else b""
            )
        return text


class Model:
    """model.bin of the first format, or of version 2.

    There `runq` also rounds what is multiplied by a matrix, in groups; `rounds` asks for that.
    """

    def __init__(self, path: Path, rounds: bool = False):
        self.data, self.group = path.read_bytes(), 0
        quantised = self.data[:4] == b"24ka"
        shape, self.offset = struct.unpack_from("<7i", self.data, 8 * quantised), 28
        self.dim, self.hidden, self.n, self.heads, self.kv_heads, vocab, self.seq_len = shape
        self.vocab, self.head = abs(vocab), self.dim // self.heads
        kv = self.kv_heads * self.head
        sizes = {"wk": (kv, self.dim), "wv": (kv, self.dim)}
        sizes |= dict.fromkeys(("w1", "w3"), (self.hidden, self.dim))
        sizes["w2"] = (self.dim, self.hidden)
        self.w, table = {}, (self.vocab, self.dim)
        if quantised:
            version, shared, group = struct.unpack_from("<i28xBi", self.data, 4)
            assert version == 2 and not any(self.data[41:256])
            self.group = group if rounds else 0
            self.offset = 256
            for name in ("attention_norm", "ffn_norm"):
                self.w[name] = self.floats((self.n, self.dim))
            self.w["norm"] = self.floats((self.dim,))
            self.w["table"] = self.groups(table, group)
            for name in MATRICES:
                size = sizes.get(name, (self.dim, self.dim))
                self.w[name] = np.stack([self.groups(size, group) for _ in range(self.n)])
            self.w["output"] = self.w["table"] if shared else self.groups(table, group)
        else:
            self.w["table"] = self.floats(table)
            order = ("attention_norm", *MATRICES[:4], "ffn_norm", *MATRICES[4:])
            for name in order:
                one = (self.dim,) if name.endswith("norm") else sizes.get(name, (self.dim,) * 2)
                self.w[name] = self.floats((self.n, *one))
            self.w["norm"] = self.floats((self.dim,))
            self.floats((self.seq_len, self.head))  # angles, which the program does not read
            self.w["output"] = self.w["table"] if vocab > 0 else self.floats(table)
        assert self.offset == len(self.data)

    def floats(self, shape) -> np.ndarray:
        values = np.frombuffer(self.data, "<f4", int(np.prod(shape)), self.offset)
        self.offset += values.nbytes
        return values.reshape(shape).astype(np.float64)

    def groups(self, shape, group: int) -> np.ndarray:
        whole = np.frombuffer(self.data, np.int8, int(np.prod(shape)), self.offset)
        self.offset += whole.nbytes
        scales = self.floats((whole.size // group, 1))
        return (whole.reshape(-1, group) * scales).reshape(shape)

    def logits(self, ids) -> np.ndarray:
        """Scores after each id, (t, V)."""
        w, x = self.w, self.w["table"][list(ids)]
        for n in range(self.n):
            h = self.rounded(rms_norm(x, w["attention_norm"][n]))
            q, k, v = (h @ w[name][n].T for name in ("wq", "wk", "wv"))
            x = x + self.rounded(self.attend(q, k, v)) @ w["wo"][n].T
            h = self.rounded(rms_norm(x, w["ffn_norm"][n]))
            a, b = h @ w["w1"][n].T, h @ w["w3"][n].T
            x = x + self.rounded(a / (1 + np.exp(-a)) * b) @ w["w2"][n].T
        return self.rounded(rms_norm(x, w["norm"])) @ w["output"].T

    def rounded(self, x) -> np.ndarray:
        if not self.group:
            return x
        groups = x.reshape(-1, self.group)
        scales = np.abs(groups).max(-1, keepdims=True) / 127
        whole = np.trunc(groups / scales + np.copysign(0.5, groups))  # as round() of C
        return (whole * scales).reshape(x.shape)

    def attend(self, q, k, v) -> np.ndarray:
        t = len(q)
        q, k, v = (a.reshape(t, -1, self.head).swapaxes(0, 1) for a in (q, k, v))
        q, k = turn(q), turn(k)
        k, v = (np.repeat(a, self.heads // self.kv_heads, axis=0) for a in (k, v))
        scores = q @ k.swapaxes(1, 2) / np.sqrt(self.head)
        scores = np.where(np.tri(t, dtype=bool), scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(t, -1)

    def write(self, vocabulary: Vocabulary, prompt: str, new: int) -> tuple[list[int], bytes]:
        """The likeliest continuation: its ids, and all that is printed, the prompt included."""
        ids = vocabulary.encode(prompt)
        n_prompt = len(ids)
        while len(ids) < n_prompt + new:
            token = int(self.logits(ids)[-1].argmax())
            if token == 1:
                break
            ids.append(token)
        printed = b"".join(vocabulary.spell(a, b) for a, b in zip(ids, ids[1:]))
        return ids[n_prompt:], printed


def rms_norm(x, weight) -> np.ndarray:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


def turn(x) -> np.ndarray:
    """Neighbouring pairs of x, (heads, t, C), by the angles of their positions."""
    head = x.shape[-1]
    angles = np.outer(np.arange(x.shape[1]), 10000.0 ** (-np.arange(0, head, 2) / head))
    z = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)
    return np.stack([z.real, z.imag], -1).reshape(x.shape)
