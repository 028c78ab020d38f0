"""Tasks from the demo's table of idioms: 成语接龙, explain a word, guess a word by its meaning.

A word is held out where pretraining held out its entry, and so are some more words; words that end
with some characters are never asked in a game, so that the rule can be examined apart from what
was learned by heart.
"""

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from chat.messages import ASSISTANT, USER, Message
from corpus import demo_corpus
from corpus.config import SourceConfig
from corpus.demo_readers import idiom_entry
from corpus.example import Example
from corpus.input_file import InputFile
from corpus.registry import reader
from corpus.split import is_held_out

HELD_OUT_WORDS, HELD_OUT_ENDINGS = 0.03, 0.1
ROUNDS = 3
"""Of a game at most, so that it fits a small context."""
MAX_EXPLANATION = 60
"""Characters of an explanation that is asked for."""
CHAIN, EXPLAIN, GUESS = "成语接龙：{}", "解释成语：{}", "猜成语：{}"
FETCH = demo_corpus.fetcher(demo_corpus.IDIOMS)


@dataclass(frozen=True)
class Idioms:
    """The table, and what of it is held out."""

    explanations: dict[str, str]
    """of every word of four characters"""
    held_out: frozenset[str]
    """words that training neither asks nor answers"""
    followers: dict[str, list[str]]
    """words by their first character"""

    def is_asked(self, word: str) -> bool:
        """Whether a game in the training split may ask a word."""
        return word not in self.held_out and not is_rare_ending(word[-1])

    def follows(self, word: str, training: bool) -> list[str]:
        """Words that begin with the last character of `word`; none held out if for training."""
        words = self.followers.get(word[-1], [])
        return [w for w in words if w != word and not (training and w in self.held_out)]

    def explained(self) -> Iterator[tuple[str, str]]:
        """Words whose explanation is short and does not give them away."""
        for word, text in self.explanations.items():
            if text and len(text) <= MAX_EXPLANATION and word not in text:
                yield word, text


def read_idioms(file: InputFile, source: SourceConfig, val_fraction: float) -> Idioms:
    """Read the table; `val_fraction` is that of the recipe, equal to that of pretraining."""
    explanations, held_out, followers = {}, set(), defaultdict(list)
    for row in csv.DictReader(file.lines(source.encoding)):
        word, entry = row["word"], idiom_entry(row).strip()
        if not re.fullmatch("[\u4e00-\u9fff]{4}", word):
            continue
        if is_held_out(entry.encode(), val_fraction) or draw("word", word) < HELD_OUT_WORDS:
            held_out.add(word)
        if word not in explanations:
            explanations[word] = entry.splitlines()[0].removeprefix(f"{word}：").strip()
            followers[word[0]].append(word)
    return Idioms(explanations, frozenset(held_out), dict(followers))


def draw(*what: str) -> float:
    """A number in [0, 1) that the words alone decide."""
    digest = hashlib.blake2b("\n".join(what).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def is_rare_ending(character: str) -> bool:
    """Whether games in the training split never ask a word with this last character."""
    return draw("ending", character) < HELD_OUT_ENDINGS


def pick(words: list[str], *what: str) -> str:
    """One of some words, drawn by what it is for."""
    return words[int(draw("pick", *what) * len(words))]


@reader("idiom_chain", fetch=FETCH, examples="sft")
def read_chain(file: InputFile, source: SourceConfig, val_fraction: float) -> Iterator[Example]:
    """成语接龙 as a game of up to three rounds, each answered by a word that follows."""
    idioms = read_idioms(file, source, val_fraction)
    for word in idioms.explanations:
        training = idioms.is_asked(word)
        rounds = 1 + int(draw("rounds", word) * ROUNDS)
        messages, asked, said = [], word, [word]
        while len(messages) < 2 * rounds:
            answers = [w for w in idioms.follows(asked, training) if w not in said]
            if not answers:
                break
            answer = pick(answers, *said)
            question = CHAIN.format(asked) if not messages else asked
            messages += [Message(USER, question), Message(ASSISTANT, answer)]
            said.append(answer)
            following = [w for w in idioms.follows(answer, training) if w not in said]
            following = [w for w in following if idioms.is_asked(w) or not training]
            if not following:
                break
            asked = pick(following, *said)
            said.append(asked)
        if messages:
            yield Example(messages, held_out=not training)


@reader("idiom_explain", fetch=FETCH, examples="sft")
def read_explain(file: InputFile, source: SourceConfig, val_fraction: float) -> Iterator[Example]:
    """A word is asked, its explanation is the answer."""
    idioms = read_idioms(file, source, val_fraction)
    for word, text in idioms.explained():
        messages = [Message(USER, EXPLAIN.format(word)), Message(ASSISTANT, text)]
        yield Example(messages, held_out=word in idioms.held_out)


@reader("idiom_guess", fetch=FETCH, examples="sft")
def read_guess(file: InputFile, source: SourceConfig, val_fraction: float) -> Iterator[Example]:
    """An explanation is given, its word is the answer."""
    idioms = read_idioms(file, source, val_fraction)
    for word, text in idioms.explained():
        messages = [Message(USER, GUESS.format(text)), Message(ASSISTANT, word)]
        yield Example(messages, held_out=word in idioms.held_out)


@reader("idiom_chain_pairs", fetch=FETCH, examples="pairs")
def read_chain_pairs(
    file: InputFile, source: SourceConfig, val_fraction: float
) -> Iterator[Example]:
    """A word that follows against one that does not."""
    idioms = read_idioms(file, source, val_fraction)
    words = [word for word in idioms.explanations if word not in idioms.held_out]
    for word in idioms.explanations:
        training = idioms.is_asked(word)
        right = idioms.follows(word, training)
        wrong = pick(words, "wrong", word)
        if right and wrong[0] != word[-1]:
            prompt = [Message(USER, CHAIN.format(word))]
            yield Example(prompt, pick(right, "right", word), wrong, held_out=not training)


@reader("idiom_explain_pairs", fetch=FETCH, examples="pairs")
def read_explain_pairs(
    file: InputFile, source: SourceConfig, val_fraction: float
) -> Iterator[Example]:
    """A word's explanation against one of another word, of as many characters."""
    idioms = read_idioms(file, source, val_fraction)
    of_length = defaultdict(list)
    for word, text in idioms.explained():
        of_length[len(text), word in idioms.held_out].append(text)
    for word, text in idioms.explained():
        held_out = word in idioms.held_out
        other = pick(of_length[len(text), held_out], "other", word)
        if other != text:
            yield Example([Message(USER, EXPLAIN.format(word))], text, other, held_out=held_out)


@reader("idiom_chain_task", fetch=FETCH, examples="task")
def read_chain_task(
    file: InputFile, source: SourceConfig, val_fraction: float
) -> Iterator[Example]:
    """A word is asked; the key names the character to begin with, and all words that do.

    It also says whether games of the training split never ask that character.
    """
    idioms = read_idioms(file, source, val_fraction)
    for word in idioms.explanations:
        training = idioms.is_asked(word)
        if answers := idioms.follows(word, training):
            key = {"task": "chain", "word": word, "first": word[-1], "answers": answers}
            key["never_asked"] = is_rare_ending(word[-1])
            yield Example([Message(USER, CHAIN.format(word))], key=key, held_out=not training)


@reader("idiom_explain_task", fetch=FETCH, examples="task")
def read_explain_task(
    file: InputFile, source: SourceConfig, val_fraction: float
) -> Iterator[Example]:
    """A word is asked; the key holds its explanation, and another word's as long as that."""
    idioms = read_idioms(file, source, val_fraction)
    of_length = defaultdict(list)
    for _, text in idioms.explained():
        of_length[len(text)].append(text)
    for word, text in idioms.explained():
        key = {"task": "explain", "word": word, "answers": [text]}
        key["other"] = pick(of_length[len(text)], "other", word)
        prompt = [Message(USER, EXPLAIN.format(word))]
        yield Example(prompt, key=key, held_out=word in idioms.held_out)


@reader("idiom_guess_task", fetch=FETCH, examples="task")
def read_guess_task(
    file: InputFile, source: SourceConfig, val_fraction: float
) -> Iterator[Example]:
    """An explanation is given; the key holds its word."""
    idioms = read_idioms(file, source, val_fraction)
    for word, text in idioms.explained():
        key = {"task": "guess", "word": word, "meaning": text, "answers": [word]}
        prompt = [Message(USER, GUESS.format(text))]
        yield Example(prompt, key=key, held_out=word in idioms.held_out)
