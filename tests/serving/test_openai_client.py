"""The official client of OpenAI's interface against a server of ours."""

import dataclasses
import json

import openai
import pytest

from chat.messages import Message
from tests.serving.raw import connect, read_answer, request_bytes

GREEDY = {"model": "debug", "prompt": "小明", "max_tokens": 8, "temperature": 0}


@pytest.fixture(scope="module")
def written(writer):
    """What the writer makes of GREEDY."""
    before = writer.config
    writer.config = dataclasses.replace(
        before, temperature=0.0, max_new_tokens=8, top_k=0, repetition_penalty=1.0, log_probs=True
    )
    yield writer.write("小明", lambda text: None)
    writer.config = before


def test_models(client):
    assert [model.id for model in client.models.list().data] == ["debug", "chatty"]
    assert client.models.retrieve("chatty").id == "chatty"


def test_a_completion_is_what_the_writer_writes(client, written):
    found = client.completions.create(**GREEDY, logprobs=2)
    (choice,) = found.choices
    assert choice.text == written.text and choice.finish_reason == "length"
    assert [len(likely) for likely in choice.logprobs.top_logprobs] == [2] * 8
    assert "".join(choice.logprobs.tokens).strip() == written.text.strip()
    usage = found.usage
    assert usage.completion_tokens == 8 and usage.total_tokens == usage.prompt_tokens + 8


def test_a_stream_is_the_same_text(client, written):
    options = {"include_usage": True}
    *pieces, last = client.completions.create(**GREEDY, stream=True, stream_options=options)
    assert "".join(piece.choices[0].text for piece in pieces) == written.text
    assert len(pieces) > 3 and pieces[-1].choices[0].finish_reason == "length"
    assert last.choices == [] and last.usage.completion_tokens == 8


def test_echo_scores_the_prompt(client, server):
    ids = server.models["debug"].tokenizer.encode("小明在学校读书")
    fields = GREEDY | {"prompt": ids, "max_tokens": 0}
    (choice,) = client.completions.create(**fields, echo=True, logprobs=1).choices
    assert choice.text == "小明在学校读书" and len(choice.logprobs.tokens) == len(ids)
    assert all(value < 0 for value in choice.logprobs.token_logprobs)
    best = [max(likely.values()) for likely in choice.logprobs.top_logprobs]
    assert all(a <= b for a, b in zip(choice.logprobs.token_logprobs, best))


def test_stop_seed_and_n(client):
    whole = client.completions.create(**GREEDY).choices[0].text
    (choice,) = client.completions.create(**GREEDY, stop=[whole[2:4]]).choices
    assert choice.text == whole[: whole.index(whole[2:4])] and choice.finish_reason == "stop"
    sampled = GREEDY | {"temperature": 1, "seed": 5, "n": 3}
    first, second = (client.completions.create(**sampled).choices for _ in range(2))
    texts = [choice.text for choice in first]
    assert texts == [choice.text for choice in second] and len(set(texts)) == 3


def test_errors(client):
    with pytest.raises(openai.NotFoundError) as found:
        client.completions.create(**GREEDY | {"model": "gpt-9"})
    assert found.value.code == "model_not_found" and found.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="has no chat template"):
        client.chat.completions.create(
            model="debug", messages=[{"role": "user", "content": "你好"}]
        )
    with pytest.raises(openai.BadRequestError) as found:
        client.completions.create(**GREEDY | {"prompt": "学" * 100})
    assert found.value.code == "context_length_exceeded"


CHAT = {
    "model": "chatty",
    "messages": [{"role": "system", "content": "简短"}, {"role": "user", "content": "小明"}],
    "max_tokens": 10,
    "temperature": 1,
    "seed": 3,
}


def test_a_chat(client, server):
    found = client.chat.completions.create(**CHAT, logprobs=True, top_logprobs=2)
    (choice,) = found.choices
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.message.content == choice.message.content.strip()
    assert len(choice.logprobs.content) == found.usage.completion_tokens == 10
    assert all(len(token.top_logprobs) == 2 for token in choice.logprobs.content)
    model = server.models["chatty"]
    messages = [Message(**message) for message in CHAT["messages"]]
    ids = model.template.prompt_ids(messages)
    assert found.usage.prompt_tokens == len(ids)
    raw = client.completions.create(model="chatty", prompt=ids, max_tokens=10, seed=3)
    assert raw.choices[0].text.strip() == choice.message.content


def test_a_chat_as_a_stream(client):
    whole = client.chat.completions.create(**CHAT, n=2).choices
    first, *pieces = client.chat.completions.create(**CHAT, n=2, stream=True)
    assert [choice.delta.role for choice in first.choices] == ["assistant"] * 2
    for choice in whole:
        mine = [p.choices[0] for p in pieces if p.choices[0].index == choice.index]
        text = "".join(piece.delta.content or "" for piece in mine)
        assert text == choice.message.content
        assert [piece.finish_reason for piece in mine][-1] == choice.finish_reason


def test_a_shared_system_prompt_is_read_once(client):
    with_passage = {"role": "system", "content": "学校里有一棵树，小明在树下读书"}
    cached = []
    for question in ("春天", "老师"):
        messages = [with_passage, {"role": "user", "content": question}]
        found = client.chat.completions.create(**CHAT | {"messages": messages, "max_tokens": 2})
        cached.append(found.usage.prompt_tokens_details.cached_tokens)
    assert cached[0] + 8 < cached[1] < found.usage.prompt_tokens


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": []}, "messages: "),
        ({"messages": [{"role": "assistant", "content": "好"}]}, "begins with the assistant"),
        ({"messages": [{"role": "king", "content": "好"}]}, "unknown role 'king'"),
        ({"messages": [{"role": "user", "content": "学" * 100}]}, "the prompt has "),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format is not supported"),
        ({"max_tokens": 99999}, "max_tokens: at most 4096"),
        ({"n": 17}, "n: at most 16"),
        ({"top_logprobs": 21}, "top_logprobs: "),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_chats_that_are_refused(client, fields, message):
    with pytest.raises(openai.BadRequestError) as found:
        client.chat.completions.create(**CHAT | fields)
    assert message in found.value.body["message"]


def test_a_stream_sends_what_is_new(server):
    """What the page asks for: the bytes of a token do not grow with the text before it."""
    body = {"model": "debug", "prompt": "小", "temperature": 0, "stream": True, "logprobs": 5}
    sizes = []
    for n in (10, 40):
        sent = json.dumps(body | {"max_tokens": n}).encode()
        with connect(server) as connection:
            connection.sendall(request_bytes(server, "/v1/completions", sent, connection="close"))
            sizes.append(len(read_answer(connection)[1]))
    assert 0 < sizes[1] < 40 * 1000 and sizes[1] < 4.5 * sizes[0]
