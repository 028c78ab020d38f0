"""The forms of answers."""

from generation.generation import NewToken
from generation.request import End
from generation.writer import Piece
from serving.answers import ChatAnswer, Choice
from serving.token_names import TokenNames


def test_tokens_without_a_text_have_log_probabilities(writer):
    """A model may write nothing but marks of roles."""
    mark = NewToken(0, writer.tokenizer.eos_id, -0.5)
    answer = ChatAnswer("debug", TokenNames(writer.tokenizer), [Choice(0, None, 3)], True)
    answer.take(0, Piece(0, "", (mark, mark)))
    answer.take(0, End("max_new_tokens", 2))
    (choice,) = answer.whole()["choices"]
    assert choice["message"]["content"] == ""
    assert [entry["logprob"] for entry in choice["logprobs"]["content"]] == [-0.5, -0.5]
