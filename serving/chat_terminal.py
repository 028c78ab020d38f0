"""A chat on the terminal: each line is a question, which the model answers in turn."""

import contextlib
import json

from chat.messages import ASSISTANT, SYSTEM, USER, Message
from chat.template import ChatTemplate
from common.errors import UserError
from common.files import atomic_open
from generation.generation import Generation
from generation.writer import INTERRUPTED, RowText, Writer, check_utf8
from serving.terminal import Chat, ask_lines, catch_interrupts

WELCOME = "Ask something, or /help."
HELP = """\
A line is a question, which the model answers; it remembers what was said before.
Ctrl-C stops an answer, Ctrl-D or /quit ends.
  /system TEXT      instructions that the model reads first; without TEXT: none
  /undo             take the last question and its answer back
  /clear            start a new dialogue; the system message stays
  /save FILE        write the dialogue as a line of JSON, which the reader `messages` reads
  /set NAME VALUE   change a setting, such as /set temperature 0.7
  /seed NUMBER      use other random numbers
  /show             show the settings
  /reset            restore the settings of the beginning"""


def converse_in_turns(writer: Writer, template: ChatTemplate) -> None:
    """Answer what is typed until the input ends; what goes wrong is reported and passed over."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - its import alone lets lines be edited
    dialogue = Dialogue(writer, template)
    print(WELCOME)
    for line in ask_lines():
        try:
            if line.strip() and not dialogue.answer(line):
                return
        except UserError as error:
            print(f"error: {error}")


class Dialogue(Chat):
    """What a line does, where the model answers: the rounds so far, and the system message."""

    def __init__(self, writer: Writer, template: ChatTemplate):
        super().__init__(writer)
        self.template, self.system_text = template, ""
        self.rounds: list[tuple[Message, Message]] = []
        """questions with their answers, the oldest first"""
        del self.commands["/more"]
        self.commands |= {
            "/system": self.system,
            "/undo": self.undo,
            "/clear": self.clear,
            "/save": self.save,
        }

    def play(self, prompt: str) -> None:
        """Answer a question; Ctrl-C stops that and nothing else.

        Raises:
            UserError: it is not UTF-8, or does not fit the context even alone.
        """
        check_utf8(prompt)
        question = Message(USER, prompt)
        ids = self._prompt_ids(question)
        text, reason = self._write(ids)
        if not text.strip():
            print(f"(no answer, stopped by {reason}; the question is forgotten)")
            return
        self.rounds.append((question, Message(ASSISTANT, text)))
        print("" if reason == "<eos>" else f"\n(stopped by {reason})")

    def messages(self, last: int | None = None) -> list[Message]:
        """The dialogue so far; of its rounds only the last ones, None: all."""
        system = [Message(SYSTEM, self.system_text)] if self.system_text else []
        begin = 0 if last is None else max(0, len(self.rounds) - last)
        return [*system, *(message for pair in self.rounds[begin:] for message in pair)]

    def _prompt_ids(self, question: Message) -> list[int]:
        """Ids up to the answer; the oldest rounds are dropped until there is room for one."""
        config, context = self.writer.config, self.writer.decoder.max_seq_len
        longest = context - 1 - min(config.max_new_tokens, context // 4)
        dropped = 0
        ids = self.template.prompt_ids([*self.messages(config.rounds), question])
        while len(ids) > longest and self.rounds:
            del self.rounds[0]
            dropped += 1
            ids = self.template.prompt_ids([*self.messages(config.rounds), question])
        if dropped:
            rounds = "round is" if dropped == 1 else f"{dropped} rounds are"
            print(f"(the context of {context} tokens is full: the oldest {rounds} forgotten)")
        return ids

    def _write(self, ids: list[int]) -> tuple[str, str]:
        """Print the answer while it is written; returns it, and what ended it."""
        writer, tokenizer = self.writer, self.writer.tokenizer
        try:
            generation = Generation(
                writer.decoder,
                [ids],
                writer.sampling,
                tokenizer.eos_id,
                self.template.end_ids,
                tokenizer.vocab_size,
            )
            row, texts = RowText(0, tokenizer, ids, writer.config.stop), []
            with catch_interrupts() as caught:
                writer.decoder.warm_up([ids], writer.config.max_new_tokens)
                for new in generation:
                    for piece in row.push(new):
                        texts.append(piece.text)
                        print(piece.text, end="", flush=True)
                    if row.stops.found:
                        generation.stop(0, repr(row.stops.found))
                    elif caught and not generation.stopped_by[0]:
                        generation.stop(0, INTERRUPTED)
        except ValueError as error:
            raise UserError(str(error)) from error
        rest = "".join(piece.text for piece in row.rest())
        print(rest, end="", flush=True)
        return "".join(texts) + rest, generation.stopped_by[0]

    def help(self, rest: str) -> None:
        """Print the commands."""
        print(HELP)

    def system(self, rest: str) -> None:
        """Set the system message."""
        check_utf8(rest)
        self.system_text = rest

    def undo(self, rest: str) -> None:
        """Take the last question and its answer back.

        Raises:
            UserError: there is none.
        """
        if not self.rounds:
            raise UserError("there is no question yet")
        question, _ = self.rounds.pop()
        print(f"  taken back: {question.content}")

    def clear(self, rest: str) -> None:
        """Forget all rounds."""
        self.rounds = []

    def save(self, rest: str) -> None:
        """Write the dialogue in the form of the OpenAI interface.

        Raises:
            UserError: no file is named, nothing was said, or the file cannot be written.
        """
        if not rest:
            raise UserError("name a file, such as /save dialogue.jsonl")
        if not self.rounds:
            raise UserError("there is no question yet")
        values = {"messages": [message.to_json() for message in self.messages()]}
        try:
            with atomic_open(rest, "w") as file:
                file.write(json.dumps(values, ensure_ascii=False) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {rest}: {error.strerror}") from error
        print(f"  wrote {rest}")
