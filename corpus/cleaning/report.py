"""What the cleaning did: counts and a few examples for each rule."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from common.tables import format_table

MAX_EXAMPLES = 3
EXAMPLE_CHARS = 60
CONTEXT_CHARS = 15
HEADER = ("rule", "documents", "changed", "dropped", "characters", "removed", "in dropped")


@dataclass
class RuleCounts:
    """What one rule met and did. A document that an earlier rule dropped does not reach it."""

    name: str
    """rule and parameters as the recipe gives them"""
    documents: int = 0
    """documents that reached the rule"""
    changed: int = 0
    dropped: int = 0
    characters: int = 0
    """of the documents that reached the rule"""
    removed: int = 0
    """characters that changed documents lost, on balance"""
    dropped_characters: int = 0
    """of the dropped documents"""
    examples: list[str] = field(default_factory=list)
    """the first few changes and the beginnings of the first few dropped documents, on one line"""

    def count(self, before: str, after: str | None) -> None:
        """Note one document; `after` is None where the rule dropped it."""
        self.documents += 1
        self.characters += len(before)
        if after is None:
            self.dropped += 1
            self.dropped_characters += len(before)
        elif after != before:
            self.changed += 1
            self.removed += len(before) - len(after)
        else:
            return
        if len(self.examples) < MAX_EXAMPLES:
            self._add_examples([_example(before, after)])

    def __add__(self, other: "RuleCounts") -> "RuleCounts":
        """The counts of both; the examples of the left one come first."""
        if self.name != other.name:
            raise ValueError(f"reports of different rules: {self.name} and {other.name}")
        mine, theirs = vars(self), vars(other)
        sums = {key: mine[key] + theirs[key] for key in mine if key not in ("name", "examples")}
        both = RuleCounts(self.name, **sums)
        both._add_examples(self.examples + other.examples)
        return both

    def _add_examples(self, examples: list[str]) -> None:
        self.examples = list(dict.fromkeys(self.examples + examples))[:MAX_EXAMPLES]


@dataclass
class CleaningReport:
    """The counts of the rules of a recipe, in their order. Reports add up: `a + b`."""

    rules: list[RuleCounts] = field(default_factory=list)

    @classmethod
    def of(cls, rules: list[dict[str, Any]]) -> "CleaningReport":
        """An empty report of the rules of `data.cleaning`."""
        return cls([RuleCounts(_name(entry)) for entry in rules])

    @property
    def documents(self) -> int:
        """Documents that came in (0 where there is no rule)."""
        return self.rules[0].documents if self.rules else 0

    @property
    def kept(self) -> int:
        """Documents that passed every rule."""
        return self.documents - sum(counts.dropped for counts in self.rules)

    def __add__(self, other: "CleaningReport") -> "CleaningReport":
        """Both together, the examples of the left one first.

        Raises:
            ValueError: they are not of the same rules.
        """
        if len(self.rules) != len(other.rules):
            raise ValueError("reports of different lists of rules")
        return CleaningReport([a + b for a, b in zip(self.rules, other.rules)])

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; `from_json` is the way back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "CleaningReport":
        """The report that `to_json` was called on."""
        return cls([RuleCounts(**counts) for counts in value["rules"]])

    def format(self) -> str:
        """A table for people, a line for each rule, and the examples below it."""
        lines = [format_table([HEADER, *map(_row, self.rules)])]
        for counts in self.rules:
            lines += [f"{counts.name}: {example}" for example in counts.examples]
        return "\n".join(lines)


def _name(entry: dict[str, Any]) -> str:
    values = [f"{key}={value}" for key, value in entry.items() if key != "rule"]
    return " ".join([entry["rule"], *values])


def _row(counts: RuleCounts) -> tuple[str, ...]:
    numbers = (
        counts.documents,
        counts.changed,
        counts.dropped,
        counts.characters,
        counts.removed,
        counts.dropped_characters,
    )
    return (counts.name, *(f"{number:,}" for number in numbers))


def _example(before: str, after: str | None) -> str:
    if after is None:
        return f"dropped {_excerpt(before, 0)}"
    pairs = enumerate(zip(before, after))
    at = next((i for i, (a, b) in pairs if a != b), min(len(before), len(after)))
    start = max(0, at - CONTEXT_CHARS)
    return f"{_excerpt(before, start)} -> {_excerpt(after, start)}"


def _excerpt(text: str, start: int) -> str:
    """Part of `text` on one line, line breaks and other characters without a shape as escapes."""
    end = start + EXAMPLE_CHARS
    part = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[start:end])
    return f"{'…' if start else ''}{part}{'…' if end < len(text) else ''}"
