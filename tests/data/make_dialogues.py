"""Write dialogues.jsonl: short questions and answers, the same on every machine."""

import json
import random
from pathlib import Path

from tests.data.make_corpus import ACTIONS, ANIMALS, PEOPLE, PLACES, TIMES, WEATHER

DIALOGUES = 240


def round_of(rng: random.Random) -> tuple[str, str]:
    """A question and its answer."""
    person, place, animal = rng.choice(PEOPLE), rng.choice(PLACES), rng.choice(ANIMALS)
    time, action = rng.choice(TIMES), rng.choice(ACTIONS)
    return rng.choice(
        [
            (f"{time}{person}在{place}做什么？", f"{person}在{place}{action}。"),
            (f"谁在{place}{action}？", f"{person}在那里{action}。"),
            (f"{animal}在哪里？", f"{animal}在{place}。"),
            (f"{time}的{place}天气怎样？", f"{place}{rng.choice(WEATHER)}。"),
        ]
    )


def dialogue(rng: random.Random) -> dict:
    """One or two rounds, in the form of OpenAI's messages."""
    messages = []
    for _ in range(rng.choice([1, 1, 2])):
        question, answer = round_of(rng)
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer})
    return {"messages": messages}


def main() -> None:
    """Write dialogues.jsonl beside this file."""
    rng = random.Random(0)
    path = Path(__file__).with_name("dialogues.jsonl")
    lines = [json.dumps(dialogue(rng), ensure_ascii=False) for _ in range(DIALOGUES)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
