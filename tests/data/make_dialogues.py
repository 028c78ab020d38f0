"""Write dialogues.jsonl and pairs.jsonl: short questions and answers, everywhere the same."""

import json
import random
from pathlib import Path

from tests.data.make_corpus import ACTIONS, ANIMALS, PEOPLE, PLACES, TIMES, WEATHER

DIALOGUES, PAIRS = 240, 200


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


def pair(rng: random.Random) -> dict:
    """A question with its own answer and that to another question."""
    prompt, chosen = round_of(rng)
    rejected = chosen
    while rejected == chosen:
        rejected = round_of(rng)[1]
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def main() -> None:
    """Write the files beside this one."""
    for name, make, count in (("dialogues", dialogue, DIALOGUES), ("pairs", pair, PAIRS)):
        rng = random.Random(0)
        lines = [json.dumps(make(rng), ensure_ascii=False) for _ in range(count)]
        path = Path(__file__).with_name(f"{name}.jsonl")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
