"""What a caller gets: completions and chunks in OpenAI's shape, usage and cost in one shape for all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, TypeAlias, final

from asynccache.mapped import Mapped

__all__ = [
    "CacheCreation",
    "CacheNote",
    "CacheReport",
    "Choice",
    "Chunk",
    "ChunkChoice",
    "Completion",
    "CompletionTokensDetails",
    "Cost",
    "Delta",
    "FinishReason",
    "Function",
    "FunctionDelta",
    "Iteration",
    "Message",
    "Price",
    "PromptTokensDetails",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "UsageSource",
]

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
UsageSource: TypeAlias = Literal["provider", "partial", "estimated", "missing", "invalid"]


def _without_native(choice: dict[str, Any]) -> dict[str, Any]:
    if choice["native_finish_reason"] in {None, choice["finish_reason"]}:
        del choice["native_finish_reason"]
    return choice


@final
class PromptTokensDetails(Mapped, frozen=True, kw_only=True):
    """The prompt's tokens in disjoint buckets; None is what the provider did not tell."""

    cached_tokens: int | None = None
    """Read from the cache."""
    cache_write_tokens: int | None = None
    """Written to the cache."""
    uncached_tokens: int | None = None
    """Neither read nor written."""
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


@final
class CompletionTokensDetails(Mapped, frozen=True, kw_only=True):
    """What the output tokens were spent on; parts of ``completion_tokens``."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    text_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


@final
class CacheCreation(Mapped, frozen=True, kw_only=True):
    """Tokens written to the cache, by the lifetime paid for; they add up to all that was written."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_30m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None
    ephemeral_12h_input_tokens: int | None = None


@final
class Iteration(Mapped, frozen=True, kw_only=True):
    """One model run inside an answer (Anthropic's compaction, advisor, fallback), billed by its own model."""

    type: str
    model: str | None = None
    input_tokens: int = 0
    """Uncached prompt tokens of this run."""
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0
    """Part of ``cache_creation_input_tokens``."""
    output_tokens: int = 0


@final
class Usage(Mapped, frozen=True, kw_only=True):
    """What one request used, the same keys for every provider; None is what is not known, never 0.

    Where the terms are known these hold: ``prompt_tokens == uncached + cached + written``,
    ``total_tokens == prompt_tokens + completion_tokens`` and ``written == Σ cache_creation``.
    """

    prompt_tokens: int | None = None
    """Every prompt token: uncached, read from the cache and written to it."""
    completion_tokens: int | None = None
    """Every output token, reasoning included."""
    total_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails = PromptTokensDetails()
    completion_tokens_details: CompletionTokensDetails = CompletionTokensDetails()
    cache_read_input_tokens: int | None = None
    """The same as ``prompt_tokens_details.cached_tokens``, as Anthropic spells it."""
    cache_creation_input_tokens: int | None = None
    """The same as ``prompt_tokens_details.cache_write_tokens``, as Anthropic spells it."""
    cache_creation: CacheCreation = CacheCreation()
    cost: float | None = None
    """US dollars; None when the price is not known. The exact amount is ``cost_details``."""
    source: UsageSource = "missing"
    service_tier: str | None = None
    """The tier that served the request, as the provider names it."""
    speed: str | None = None
    inference_geo: str | None = None
    server_tool_use: dict[str, int] | None = None
    """Calls of the provider's own tools, such as ``web_search_requests``."""
    iterations: tuple[Iteration, ...] | None = None
    """Model runs inside the answer that are billed on their own."""
    raw: Any = None
    """The provider's own object, untouched; where it told usage in parts, each field as last told."""
    cost_details: Cost | None = None
    """The exact cost, by bucket."""

    @property
    def cached_tokens(self) -> int | None:
        """The same as ``prompt_tokens_details.cached_tokens``."""
        return self.prompt_tokens_details.cached_tokens

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the provider's particulars only where it told them."""
        plain = super().to_dict()
        for name in ("service_tier", "speed", "inference_geo", "server_tool_use", "iterations"):
            if plain[name] is None:
                del plain[name]
        return plain


@final
class Price(Mapped, frozen=True, kw_only=True):
    """Which entry of the price book a cost was worked out from."""

    model: str
    """The entry, as ``provider/model``."""
    since: str
    """The first day that the entry holds for, ISO 8601."""
    tier: str = "standard"
    source: str = ""
    derived: tuple[str, ...] = ()
    """Rates that the book does not hold and that follow from the provider's published multipliers."""


@final
class Cost(Mapped, frozen=True, kw_only=True):
    """What one request cost in US dollars, exactly; ``total`` is None, with a reason, when it is not known."""

    total: Decimal | None = None
    uncached_input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_by_lifetime: dict[str, Decimal] = {}  # noqa: RUF012 - a Struct makes each its own
    """The parts of ``cache_write``, by lifetime (``"5m"``, ``"30m"``, ``"1h"``, ``"12h"``)."""
    output: Decimal | None = None
    other: Decimal | None = None
    """Server tools and model runs inside the answer."""
    without_cache: Decimal | None = None
    """The same request had nothing been cached."""
    saved: Decimal | None = None
    """``without_cache - total``; negative when writes cost more than reads gave back."""
    price: Price | None = None
    reason: str | None = None
    """Why there is no total, or what the total leaves open."""
    reported: Decimal | None = None
    """What the provider itself says that it billed, where it does."""
    estimated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Amounts as strings, so that no digit is lost in JSON."""
        plain = super().to_dict()
        by_lifetime = {ttl: str(amount) for ttl, amount in self.cache_write_by_lifetime.items()}
        amounts = {name: str(value) for name, value in plain.items() if type(value) is Decimal}
        return {**plain, **amounts, "cache_write_by_lifetime": by_lifetime}


@final
class CacheNote(Mapped, frozen=True, kw_only=True):
    """What became of one cache mark or caching parameter."""

    path: str
    """Where the caller put it, such as ``messages[0].content[1]``."""
    action: Literal["sent", "moved", "dropped", "changed"]
    sent_to: str | None = None
    """The path in the caller's terms where it went on the wire; None when it was dropped."""
    ttl: str | None = None
    """The lifetime sent, None for the provider's default."""
    reason: str | None = None


@final
class CacheReport(Mapped, frozen=True):
    """Every cache mark of a request: sent, moved, changed or dropped, with its path and the reason."""

    notes: tuple[CacheNote, ...] = ()

    @property
    def sent(self) -> tuple[CacheNote, ...]:
        """Marks that went out where the caller put them."""
        return tuple(note for note in self.notes if note.action == "sent")

    @property
    def moved(self) -> tuple[CacheNote, ...]:
        """Marks that went out at another place."""
        return tuple(note for note in self.notes if note.action == "moved")

    @property
    def changed(self) -> tuple[CacheNote, ...]:
        """Marks and messages that went out in another form."""
        return tuple(note for note in self.notes if note.action == "changed")

    @property
    def dropped(self) -> tuple[CacheNote, ...]:
        """Marks and parameters that did not go out."""
        return tuple(note for note in self.notes if note.action == "dropped")


@final
class Function(Mapped, frozen=True, kw_only=True):
    """A function that the model wants called; ``arguments`` is the JSON text that it wrote."""

    name: str
    arguments: str


@final
class ToolCall(Mapped, frozen=True, kw_only=True):
    """One call of a tool of the caller's."""

    id: str
    function: Function
    type: Literal["function"] = "function"


@final
class Message(Mapped, frozen=True, kw_only=True):
    """The assistant's message; may be put back into ``messages`` as it is."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    tool_calls: list[ToolCall] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    """Anthropic's thinking blocks with their signatures, to be sent back as they are."""
    citations: list[Any] | None = None
    provider_blocks: list[dict[str, Any]] | None = None
    """The whole answer in the provider's own blocks and order, where the fields above cannot say it; sent
    back as they are when the message is put into ``messages`` again."""
    audio: Any = None
    function_call: Function | None = None
    """The former spelling of a tool call, where the caller asked with ``functions``."""

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's message; fields beyond ``role`` and ``content`` only where they hold something."""
        plain = super().to_dict()
        always = ("role", "content", "refusal")
        return {name: value for name, value in plain.items() if value is not None or name in always}


@final
class Choice(Mapped, frozen=True, kw_only=True):
    """One of the answers."""

    index: int = 0
    message: Message = Message()
    finish_reason: FinishReason | None = None
    native_finish_reason: str | None = None
    """The provider's own word for why it stopped."""
    logprobs: Any = None

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's choice; the provider's own word only where it gave one."""
        return _without_native(super().to_dict())


@final
class Completion(Mapped, frozen=True, kw_only=True):
    """A whole answer in OpenAI's ``chat.completion`` shape."""

    id: str = ""
    object: Literal["chat.completion"] = "chat.completion"
    created: int = 0
    model: str = ""
    choices: list[Choice] = []  # noqa: RUF012 - as above
    usage: Usage = Usage()
    service_tier: str | None = None
    system_fingerprint: str | None = None
    cache_report: CacheReport = CacheReport()
    raw: Any = None
    """The provider's own answer; None where it came as a stream."""

    @property
    def cost(self) -> Cost:
        """The exact cost; its ``total`` is None, with a reason, when the price is not known."""
        return self.usage.cost_details or Cost(reason="the answer carries no cost")


@final
class FunctionDelta(Mapped, frozen=True, kw_only=True, gc=False):
    """A piece of a function call."""

    name: str | None = None
    arguments: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Only what this piece brings."""
        return {name: value for name, value in super().to_dict().items() if value is not None}


@final
class ToolCallDelta(Mapped, frozen=True, kw_only=True):
    """A piece of a tool call; ``id`` and ``name`` come with the first piece."""

    index: int
    id: str | None = None
    function: FunctionDelta | None = None
    type: Literal["function"] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Only what this piece brings."""
        return {name: value for name, value in super().to_dict().items() if value is not None}


@final
class Delta(Mapped, frozen=True, gc=False):
    """What one chunk adds to the message."""

    content: str | None = None
    role: Literal["assistant"] | None = None
    tool_calls: list[ToolCallDelta] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    citations: list[Any] | None = None
    provider_blocks: list[dict[str, Any]] | None = None
    audio: Any = None
    function_call: FunctionDelta | None = None

    def to_dict(self) -> dict[str, Any]:
        """Only what this chunk brings."""
        return {name: value for name, value in super().to_dict().items() if value is not None}


@final
class ChunkChoice(Mapped, frozen=True, gc=False):
    """What one chunk adds to one of the answers."""

    delta: Delta
    index: int = 0
    finish_reason: FinishReason | None = None
    native_finish_reason: str | None = None
    logprobs: Any = None

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's chunk choice; the provider's own word only where it gave one."""
        return _without_native(super().to_dict())


@final
class Chunk(Mapped, frozen=True, gc=False):
    """A piece of an answer in OpenAI's ``chat.completion.chunk`` shape; the last one holds the usage."""

    id: str
    choices: list[ChunkChoice]
    created: int
    model: str
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    raw: Any = None
    """The provider's own event, JSON bytes or an object, where this chunk came from one."""
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
