"""What a wire is to the server: one provider's format, both ways, in one file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .answer import Answer
    from .prompt import Block, Prompt
    from .question import Question
    from .rules import CacheRule
    from .scenario import Scenario
    from .verdict import Verdict


class Refusal(Exception):  # noqa: N818 - a provider's no is an answer here, not a fault of ours
    """The provider says no to a request."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.message = message
        self.code = code
        self.param = param


@final
class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A request at the door: authenticated, decoded, not yet understood."""

    number: int
    path: str
    headers: Mapping[str, str]
    owner: str
    """A digest of the key: who shares a cache."""

    body: dict[str, Any]


@final
class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request understood."""

    model: str
    prompt: Prompt
    rule: CacheRule
    question: Question
    stream: bool


@final
class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a wire needs to say an answer."""

    number: int
    created: int
    body: dict[str, Any]
    asked: Asked
    answer: Answer
    verdict: Verdict
    scenario: Scenario


@final
class Event(msgspec.Struct, frozen=True):
    """One piece of a stream, as it goes over the socket."""

    data: bytes
    tokens: int = 0
    """How long the model took for it, in tokens."""

    usage: dict[str, Any] | None = None
    """The usage object that this event tells."""


class Wire(Protocol):
    """One provider's format."""

    @property
    def name(self) -> str:
        """The provider, as the log calls it."""
        ...

    @property
    def routes(self) -> tuple[str, ...]:
        """The paths that ask the model."""
        ...

    @property
    def side_routes(self) -> Mapping[tuple[str, str], str]:
        """(method, path) of everything else it answers, and the name that `aside` knows it by."""
        ...

    @property
    def content_type(self) -> str:
        """Of a streamed answer."""
        ...

    def read(self, arrival: Arrival) -> Asked:
        """The request understood; raises `Refusal`."""
        ...

    def aside(self, name: str, arrival: Arrival) -> dict[str, Any]:
        """The answer on a side route; raises `Refusal`."""
        ...

    def events(self, reply: Reply) -> Iterator[Event]:
        """The streamed answer."""
        ...

    def whole(self, reply: Reply) -> Event:
        """The answer that is not streamed."""
        ...

    def output(self, reply: Reply) -> tuple[Block, ...]:
        """The answer as part of the next prompt, for caches that keep it."""
        ...

    def headers(self, number: int) -> dict[str, str]:
        """What the provider sends with every answer."""
        ...

    def refuse(self, refusal: Refusal, number: int) -> bytes:
        """The body of an error."""
        ...

    def refuse_in_stream(self, number: int) -> bytes:
        """The event of an error after the stream has begun."""
        ...
