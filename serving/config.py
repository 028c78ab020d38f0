"""The limits of the server."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class ServeConfig:
    """What one server takes on; what is more is refused."""

    slots: int = 16
    """texts of a run that are written at the same time; each takes a cache of the context length"""
    queue: int = 64
    """texts of a run that wait for a slot; more are refused with status 429"""
    max_tokens: int = 4096
    """new tokens of a text, at most"""
    max_choices: int = 16
    """texts of one request (n times its prompts), at most"""
    max_body: int = 1 << 20
    """bytes of a request's body, at most"""
    time_limit: int = 300
    """seconds for a text, waiting included; then it ends as if max_tokens were reached"""
    read_timeout: int = 10
    """seconds that a client may take to send its request"""
    connections: int = 512
    """open connections, at most"""

    def __post_init__(self):
        """Reject values out of range.

        Raises:
            ValueError: names the field.
        """
        for field in fields(self):
            least = 0 if field.name == "queue" else 1
            if getattr(self, field.name) < least:
                raise ValueError(
                    f"--{field.name} is {getattr(self, field.name)}; it must be at least {least}"
                )
