import pytest

from chat.messages import DialogueError, Message, check_dialogue, check_prompt, parse_messages


def dialogue(roles):
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return [Message(names[role], "好") for role in roles]


@pytest.mark.parametrize("roles", ["ua", "sua", "uaua", "uuta", "suatua"])
def test_a_dialogue_ends_with_an_answer_to_something(roles):
    check_dialogue(dialogue(roles))
    check_prompt(dialogue(roles[:-1]))


@pytest.mark.parametrize(
    ("roles", "sentence"),
    [
        ("", "there is no message"),
        ("s", "nothing but a system message"),
        ("a", "the dialogue begins with the assistant"),
        ("sau", "the dialogue begins with the assistant"),
        ("uaa", "two answers follow each other"),
        ("uau", "the dialogue ends without an answer"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(roles, sentence):
    with pytest.raises(DialogueError, match=sentence):
        check_dialogue(dialogue(roles))


def test_a_prompt_does_not_end_with_an_answer():
    with pytest.raises(DialogueError, match="ends with an answer"):
        check_prompt(dialogue("ua"))


@pytest.mark.parametrize(
    ("role", "content", "sentence"),
    [
        ("robot", "好", "unknown role 'robot'; the roles are system, user, assistant, tool"),
        ("assistant", " \n", "empty answer"),
        ("user", "", "empty user message"),
        ("user", None, "the content of the user message is not text"),
        (None, "好", "unknown role None"),
    ],
)
def test_a_message_has_a_known_role_and_text(role, content, sentence):
    with pytest.raises(DialogueError, match=sentence):
        Message(role, content)


def test_messages_are_read_and_written_in_the_form_of_openai():
    values = [{"role": "user", "content": " 你好 ", "name": "x"}]
    (message,) = parse_messages(values)
    assert message.to_json() == {"role": "user", "content": "你好"}
    for wrong in ("text", [1], {"role": "user"}):
        with pytest.raises(DialogueError, match="must be a list of objects"):
            parse_messages(wrong)
    with pytest.raises(DialogueError, match="a message without content"):
        parse_messages([{"role": "user"}])
