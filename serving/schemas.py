"""What clients send, as OpenAI's interface defines it, and its ranges."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

MAX_STOPS = 16
MAX_LIKELY = 20
UNSUPPORTED = (
    "best_of",
    "function_call",
    "functions",
    "logit_bias",
    "modalities",
    "presence_penalty",
    "response_format",
    "suffix",
    "tool_choice",
    "tools",
)
HARMLESS = (None, {}, [], 0, 1, "none", {"type": "text"}, ["text"])
"""values of those fields that ask for nothing"""

Text = Annotated[str, AfterValidator(lambda text: _encodable(text))]
StopText = Annotated[Text, StringConstraints(min_length=1)]
Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


def _encodable(text: str) -> str:
    """A text without half surrogate pairs, which no encoding has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half a surrogate pair") from None
    return text


class StreamOptions(BaseModel):
    """What a stream reports beside the text."""

    model_config = ConfigDict(strict=True)
    include_usage: bool = False
    """a last piece with the counts of tokens"""


class _Settings(BaseModel):
    """The fields that both kinds of request have; others are left aside, as OpenAI does."""

    model_config = ConfigDict(strict=True)

    model: str
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0, le=10)
    frequency_penalty: float = Field(0.0, ge=0, le=2)
    seed: int | None = Field(None, ge=-(1 << 63), lt=1 << 63)
    n: int = Field(1, ge=1)
    stop: StopText | Annotated[list[StopText], Field(max_length=MAX_STOPS)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _check(cls, values: Any) -> Any:
        """Null means the default, and what cannot be done is refused and not left aside."""
        if not isinstance(values, dict):
            return values
        for name in UNSUPPORTED:
            if values.get(name) not in HARMLESS:
                raise ValueError(f"{name} is not supported by this server")
        return {name: value for name, value in values.items() if value is not None}

    @property
    def stops(self) -> list[str]:
        """The texts that end an answer."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


class CompletionRequest(_Settings):
    """POST /v1/completions."""

    prompt: Text | Ids | Annotated[list[Text] | list[Ids], Field(min_length=1)]
    max_tokens: int = Field(16, ge=0)
    logprobs: int | None = Field(None, ge=0, le=MAX_LIKELY)
    echo: bool = False

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts, each a text or ids."""
        if isinstance(self.prompt, str) or isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt


class ContentPart(BaseModel):
    """A part of a message; only text is known."""

    model_config = ConfigDict(strict=True)
    type: str = Field(pattern="^text$")
    text: Text


class ChatMessage(BaseModel):
    """One message of a chat."""

    model_config = ConfigDict(strict=True)
    role: str
    content: Text | list[ContentPart]

    @property
    def known_role(self) -> str:
        """The role by the name that chat templates have for it."""
        return "system" if self.role == "developer" else self.role

    @property
    def text(self) -> str:
        """The content; parts are joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ChatRequest(_Settings):
    """POST /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=MAX_LIKELY)


class TokenizeRequest(BaseModel):
    """POST /tokenize."""

    model_config = ConfigDict(strict=True)
    model: str | None = None
    prompt: Text


class DetokenizeRequest(BaseModel):
    """POST /detokenize."""

    model_config = ConfigDict(strict=True)
    model: str | None = None
    tokens: list[Annotated[int, Field(ge=0)]]
