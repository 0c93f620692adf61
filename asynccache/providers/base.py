"""The seam to a provider: what one wire format must be able to do, and the table of its cache rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, final

import msgspec
import orjson

from asynccache.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.errors import APIStatusError
    from asynccache.events import Event
    from asynccache.request import Request
    from asynccache.stream import Head, Machine

__all__ = ["CacheRules", "HttpCall", "Provider", "asks_for_nothing", "json_body"]


@final
class HttpCall(msgspec.Struct, frozen=True, kw_only=True):
    """One POST, ready to be sent byte for byte."""

    url: str
    """Already percent-encoded: it is sent as it stands."""
    headers: dict[str, str]
    body: bytes


@final
class CacheRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's prompt cache takes from a caller: a row of the provider's table."""

    style: Literal["blocks", "parts", "kept", "none"]
    """``blocks``: marks on tools, system and message blocks (Anthropic); ``parts``: on content parts
    only (OpenAI); ``kept``: they are sent as the caller wrote them; ``none``: no marks at all."""
    reason: str = ""
    """Why marks are dropped, for the report; used when *style* is ``none``."""
    max_marks: int = 4
    ttls: frozenset[str] = frozenset({"5m", "1h"})
    """Lifetimes that may be asked for; another one is sent as *other_ttl*."""
    other_ttl: str | None = None
    tools: bool = True
    """Whether a tool definition takes a mark."""
    tool_results: bool = True
    """Whether the result of a tool takes a mark."""
    text_only: bool = False
    """Whether a mark must stand directly after text (Amazon Nova)."""
    unmarkable: frozenset[str] = frozenset()
    """Types of content parts that take no mark, beside reasoning and empty text."""
    automatic: Literal["native", "explicit", "none"] = "none"
    """A mark for the whole request: sent in the provider's own word for it, as a mark on the last block, or dropped."""
    ordered_ttls: bool = True
    """Whether longer lifetimes must come before shorter ones."""
    mid_system: bool = True
    """Whether a system message may stand between other messages."""
    strict_mid_system: bool = False
    """Whether it must then follow a user message and be last or followed by an assistant message."""
    params: frozenset[str] = frozenset()
    """The caching parameters of OpenAI's that this provider takes; others are dropped and reported."""


class Provider(Protocol):
    """One wire format. It holds no state: a provider is a value, shared by all calls.

    A provider lives in ``providers/<name>.py`` (or a folder) as ``provider``; one that speaks OpenAI's
    format is a row of ``providers/compatible.py`` instead.
    """

    @property
    def name(self) -> str:
        """The name before the slash in ``provider/model``."""
        ...

    def cache_rules(self, request: Request) -> CacheRules:
        """The rules of the model that *request* names."""
        ...

    def check(self, request: Request) -> Request:
        """*request* without the parameters that ``drop_params`` lets go.

        Raises:
            UnsupportedParamsError: a parameter that the provider does not have.
            InvalidRequestError: a message or a parameter that it cannot take.
            MissingAPIKeyError: neither the arguments nor the environment hold a key.
        """
        ...

    def encode(self, request: Request) -> HttpCall:
        """*request*, its marks included, in the provider's words, without credentials.

        Raises:
            InvalidRequestError: a message that the provider's format cannot say.
        """
        ...

    async def authorize(self, call: HttpCall, request: Request) -> HttpCall:
        """*call* with credentials; awaits where they must be fetched.

        Raises:
            MissingAPIKeyError: neither the arguments nor the environment hold a key.
            MissingCredentialsError: there are no AWS credentials.
        """
        ...

    def decoder(self, request: Request, head: Head) -> Machine[bytes, Event]:
        """A new machine from an answer's bytes to events, for the content type that came.

        It emits `ReportedUsage` for all that the provider says of tokens, raises ``EndOfStream`` when
        the answer is whole and `StreamInterruptedError` from its ``flush`` when it is not, and raises
        errors that stand inside the answer.
        """
        ...

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that an answer with *status* stands for; never raises."""
        ...


# Values of OpenAI's parameters that ask for nothing: a provider that does not have the parameter loses nothing.
_IDLE: dict[str, Any] = {
    "frequency_penalty": 0,
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "n": 1,
    "presence_penalty": 0,
    "service_tier": "auto",
    "store": False,
    "top_logprobs": 0,
}


def asks_for_nothing(name: str, value: Any) -> bool:
    """Whether parameter *name* with *value* may be left out where a provider does not have it."""
    return name in _IDLE and value == _IDLE[name]


def json_body(value: Any) -> bytes:
    """*value* as the JSON bytes that go on the wire: compact, key order kept.

    Raises:
        InvalidRequestError: a value that JSON cannot say.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        pass  # perhaps for a key that is no string: to look for those takes twice the time
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, orjson.JSONEncodeError) as exc:
        msg = f"the request holds a value that JSON cannot say: {exc}"
        raise InvalidRequestError(msg) from exc
