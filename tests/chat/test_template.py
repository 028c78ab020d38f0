"""Messages to ids and a loss mask, with each kind of vocabulary."""

import json

import pytest

from chat.messages import DialogueError, Message
from chat.template import ANSWER, CONTENT, TEMPLATE_NAME, ChatTemplate, part_pieces
from common.errors import UserError
from tokenizer.tokenizer import RESERVED_PIECES

STYLES = ("human_assistant", "question_answer", "roles", "chatglm3")


@pytest.fixture(params=STYLES)
def template(request, vocabularies):
    if request.param == "chatglm3":
        return ChatTemplate.for_tokenizer(request.getfixturevalue("chatglm3"))
    tokenizer = vocabularies["roles" if request.param == "roles" else "plain"]
    return ChatTemplate.for_tokenizer(tokenizer, request.param)


def answer_of(template, message):
    text = part_pieces(message.content, [piece for piece in template.reserved if piece != "sop"])
    return (template.style.answer[1] + text).strip()


def test_the_mask_is_the_answers_and_their_ends(template, dialogues):
    for messages in dialogues:
        ids, mask = template.render(messages)
        assert len(ids) == len(mask) and set(mask) <= {0, 1}
        spans, open_span = [], []
        for found, is_trained in zip(ids, mask):
            if is_trained:
                open_span.append(found)
                if found in template.end_ids:
                    spans.append(open_span)
                    open_span = []
        assert not open_span, "an answer without an end"
        answers = [message for message in messages if message.role == "assistant"]
        assert [template.answer_text(span) for span in spans] == [
            answer_of(template, message) for message in answers
        ]
        assert all(span[-1] in template.end_ids for span in spans)


def test_a_prompt_is_what_stands_before_the_answer(template, dialogues):
    for messages in dialogues:
        ids, mask = template.render(messages)
        for number, message in enumerate(messages):
            if message.role == "assistant":
                prompt = template.prompt_ids(messages[:number])
                assert ids[: len(prompt)] == prompt
                assert not mask[len(prompt) - 1] and mask[len(prompt)], "off by one"
    last = len(template.prompt_ids(messages[:-1]))
    assert sum(mask[last:]) == len(ids) - last


def test_contents_of_others_are_known_for_noise(template, dialogues):
    for messages in dialogues[:50]:
        ids, kinds = template.render_kinds(messages)
        said = template.tokenizer.decode([i for i, kind in zip(ids, kinds) if kind == CONTENT])
        contents = "".join(m.content for m in messages if m.role != "assistant")
        assert len(said) > 0.8 * len(contents)
        assert "Human" not in said and "问：" not in said
        assert [kind == ANSWER for kind in kinds] == [bool(m) for m in template.render(messages)[1]]


@pytest.mark.parametrize("piece", ["<|user|>", "<|assistant|>", "<|end|>", "</s>", "<|spare0|>"])
def test_a_role_piece_that_a_user_types_is_text(vocabularies, piece):
    template = ChatTemplate.for_tokenizer(vocabularies["roles"])
    plain = template.prompt_ids([Message("user", "天地")])
    typed = template.prompt_ids([Message("user", f"天{piece}地")])
    special = set(template.reserved.values())
    assert [i for i in typed if i in special] == [i for i in plain if i in special]
    assert f"天< {piece[1:]}地" in template.tokenizer.decode(typed)


def test_the_pieces_of_a_vocabulary_choose_the_style(vocabularies, request):
    plain, roles = (vocabularies[name] for name in ("plain", "roles"))
    assert ChatTemplate.for_tokenizer(plain).style.name == "human_assistant"
    template = ChatTemplate.for_tokenizer(roles)
    ends = [roles.special_ids["<|end|>"], roles.eos_id]
    assert (template.style.name, template.end_ids) == ("roles", ends)
    ids = template.render([Message("user", "天"), Message("assistant", "地")])[0]
    by_piece = {index: piece for piece, index in roles.special_ids.items()}
    assert [by_piece.get(i) or roles.decode([i]) for i in ids] == [
        "<|user|>", "天", "<|end|>", "<|assistant|>", "地", "<|end|>",
    ]  # fmt: skip
    assert roles.vocab_size == plain.vocab_size, "the reserved pieces count as pieces"
    assert list(roles.special_ids)[-len(RESERVED_PIECES) :] == list(RESERVED_PIECES)
    with pytest.raises(UserError, match="reserves no piece <|system|>, which the chat template"):
        ChatTemplate.for_tokenizer(plain, "roles")


def test_reserved_pieces_never_arise_from_text(vocabularies):
    roles = vocabularies["roles"]
    for piece in RESERVED_PIECES:
        assert roles.special_ids[piece] not in roles.encode(f"天{piece}地")
        assert roles.decode(roles.encode(f"天{piece}地")) == f"天{piece}地"


def test_chatglm3_writes_roles_as_its_own_class_does(chatglm3):
    template = ChatTemplate.for_tokenizer(chatglm3)
    messages = [Message("user", "你好"), Message("assistant", "你好。"), Message("user", "再见")]
    user, assistant, blank, newline = 64795, 64796, 30910, 13
    encode = chatglm3.encode
    assert template.prompt_ids(messages) == [
        user, blank, newline, *encode("你好"), assistant, blank, newline, *encode("你好。"),
        user, blank, newline, *encode("再见"), assistant,
    ]  # fmt: skip
    assert template.end_ids == [chatglm3.eos_id, user, 64797]


def test_a_template_is_kept_in_the_run_directory(template, tmp_path):
    template.save(tmp_path)
    again = ChatTemplate.load(tmp_path, template.tokenizer)
    assert (again.style, again.fingerprint) == (template.style, template.fingerprint)


def test_a_run_without_a_template_is_one_sentence(vocabularies, tmp_path):
    plain, roles = (vocabularies[name] for name in ("plain", "roles"))
    with pytest.raises(UserError, match="has no chat template .*not trained on dialogues"):
        ChatTemplate.load(tmp_path, plain)
    ChatTemplate.for_tokenizer(plain).save(tmp_path)
    with pytest.raises(UserError, match="was made for another tokenizer"):
        ChatTemplate.load(tmp_path, roles)
    path = tmp_path / TEMPLATE_NAME
    values = json.loads(path.read_text())
    del values["style"]["user"]
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="is damaged"):
        ChatTemplate.load(tmp_path, plain)
    path.write_text("{}")
    with pytest.raises(UserError, match="is not a chat template of version 1"):
        ChatTemplate.load(tmp_path, plain)


def test_what_no_answer_can_follow_is_refused(template):
    question, answer = Message("user", "天"), Message("assistant", "地")
    for messages in ([answer], [question], [answer, question]):
        with pytest.raises(DialogueError):
            template.render(messages)
    for messages in ([question, answer], []):
        with pytest.raises(DialogueError):
            template.prompt_ids(messages)
