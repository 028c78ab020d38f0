"""The chat template of an export: transformers writes each dialogue as we do."""

import pytest

from chat.messages import Message
from chat.template import ANSWER, ChatTemplate
from interop.hf.tokenizer import write_tokenizer
from tests.chat.cases import make_dialogues, make_vocabulary
from tokenizer.tokenizer import RESERVED_PIECES, load_tokenizer

transformers = pytest.importorskip("transformers")


@pytest.fixture(params=["human_assistant", "question_answer", "roles", "chatglm3", "chatglm2"])
def template(request, tmp_path):
    if request.param.startswith("chatglm"):
        model_file = request.getfixturevalue("chatglm_model")
        return ChatTemplate.for_tokenizer(load_tokenizer(request.param, model_file))
    reserved = RESERVED_PIECES if request.param == "roles" else ()
    tokenizer = make_vocabulary(tmp_path / "tokenizer.model", reserved)
    return ChatTemplate.for_tokenizer(tokenizer, request.param)


def test_ids_and_mask_equal_ours_on_200_dialogues(template, tmp_path):
    write_tokenizer(template.tokenizer, tmp_path, 1 << 20, template)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    reserved = template.reserved.values()
    dialogues = make_dialogues()
    assert len(dialogues) == 200
    for messages in dialogues:
        values = [message.to_json() for message in messages]
        ids, mask = template.render(messages)
        found = theirs.apply_chat_template(
            values, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        assert found["input_ids"] == ids
        prompt = theirs.apply_chat_template(values[:-1], tokenize=True, add_generation_prompt=True)
        assert prompt == template.prompt_ids(messages[:-1])
        # With ChatGLM3 an answer ends with the next role's id, which is no block of the assistant.
        differs = [i for i, (a, b) in enumerate(zip(found["assistant_masks"], mask)) if a != b]
        assert template.style.name == "chatglm3" or not differs
        assert all(ids[i] in reserved and mask[i] == ANSWER for i in differs)


def test_what_a_template_refuses_is_refused_there_too(template, tmp_path):
    write_tokenizer(template.tokenizer, tmp_path, 1 << 20, template)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    with pytest.raises(Exception, match="unknown role; the roles are system, user"):
        theirs.apply_chat_template([{"role": "robot", "content": "天"}], tokenize=False)
    again = ChatTemplate.load(tmp_path, template.tokenizer)
    assert again.fingerprint == template.fingerprint


def test_a_typed_role_is_text_there_too(template, tmp_path):
    write_tokenizer(template.tokenizer, tmp_path, 1 << 20, template)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for piece in (*template.reserved, "<|user|>", "soprano"):
        messages = [Message("user", f"天{piece}地")]
        values = [message.to_json() for message in messages]
        ids = theirs.apply_chat_template(values, tokenize=True, add_generation_prompt=True)
        assert ids == template.prompt_ids(messages)
