"""The rules of a recipe applied to documents, and counted."""

from typing import Any

from corpus.cleaning.registry import make_rule
from corpus.cleaning.report import CleaningReport


class Cleaner:
    """Passes documents through rules in order; `report` counts what every rule did to them."""

    def __init__(self, rules: list[dict[str, Any]]):
        """Prepare the rules of `data.cleaning`.

        Raises:
            UserError: a rule or a parameter is unknown, or a value is not possible.
        """
        self.rules = [make_rule(entry) for entry in rules]
        self.report = CleaningReport.of(rules)

    def clean(self, text: str) -> str | None:
        """The document as the rules leave it; None where one drops it or nothing is left.

        Surrogates without a partner, which no file can hold, are left out before.
        """
        text = text.encode("utf-8", "ignore").decode("utf-8")
        for apply, counts in zip(self.rules, self.report.rules):
            after = apply(text)
            if after is not None and not after.strip():
                after = None
            counts.count(text, after)
            if after is None:
                return None
            text = after
        return text
