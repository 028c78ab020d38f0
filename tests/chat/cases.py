"""Dialogues and vocabularies to write them with."""

import random

from chat.messages import Message
from tokenizer.tokenizer import load_tokenizer
from tokenizer.train import train_sentencepiece

CHARACTERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜"
ODD = (
    "“",
    "”",
    "：“",
    " ",
    "  ",
    "\n",
    "\n\n",
    "a",
    "<|user|>",
    "</s>",
    "<s>",
    "🐼",
    "1",
    "sop",
    "[",
)


def _texts(count, seed=0, length=30, odd=()):
    rng = random.Random(seed)
    return ["".join(rng.choices([*CHARACTERS, "，", "。", *odd], k=length)) for _ in range(count)]


def make_dialogues():
    """200 dialogues of one to three rounds, some with a system or a tool message, odd text."""
    rng = random.Random(1)
    texts = iter(_texts(2000, seed=2, length=12, odd=ODD))
    found = []
    for number in range(200):
        messages = [Message("system", next(texts) + "。")] if number % 3 == 0 else []
        for _ in range(rng.randint(1, 3)):
            messages.append(Message("user", next(texts) + "？"))
            if rng.random() < 0.2:
                messages.append(Message("tool", next(texts) + "。"))
            messages.append(Message("assistant", next(texts) + "。"))
        found.append(messages)
    return found


def make_vocabulary(path, reserved=()):
    """A small vocabulary, with or without reserved pieces."""
    texts = [f"{text}：“{text}” Human: \n答：" for text in _texts(200)]
    train_sentencepiece(texts, 450, path, reserved=reserved)
    return load_tokenizer("sentencepiece", path)
