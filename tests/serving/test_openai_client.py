"""The official client of OpenAI's interface against a server of ours."""

import openai
import pytest

GREEDY = {"model": "debug", "prompt": "小明", "max_tokens": 8, "temperature": 0}


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def written(writer):
    """What the writer makes of GREEDY."""
    import dataclasses

    before = writer.config
    writer.config = dataclasses.replace(
        before, temperature=0.0, max_new_tokens=8, top_k=0, repetition_penalty=1.0, log_probs=True
    )
    yield writer.write("小明", lambda text: None)
    writer.config = before


def test_models(client):
    (model,) = client.models.list().data
    assert model.id == "debug" == client.models.retrieve("debug").id


def test_a_completion_is_what_the_writer_writes(client, written):
    found = client.completions.create(**GREEDY, logprobs=2)
    (choice,) = found.choices
    assert choice.text == written.text and choice.finish_reason == "length"
    assert choice.logprobs.token_logprobs == pytest.approx(written.log_probs, abs=1e-4)
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
