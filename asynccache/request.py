"""What a caller asks for, in OpenAI's terms, and the cache marks that go with it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asynccache.reply import CacheNote, Usage
    from asynccache.secret import Secret

__all__ = ["Access", "Mark", "OnUsage", "Path", "Recorder", "Request", "Timeout", "path_text"]

Path: TypeAlias = tuple[str | int, ...]
"""A place in the caller's request: ``("messages", 0, "content", 1)``."""

OnUsage: TypeAlias = "Callable[[Usage], object]"
"""Called with the usage of every attempt, exactly once, whatever ended it."""


@lru_cache(maxsize=256)
def path_text(path: Path) -> str:
    """*path* as a caller writes it: ``messages[0].content[1]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "cache_control"


@final
class Mark(msgspec.Struct, frozen=True):
    """A cache breakpoint: everything before the end of *path* is to be cached.

    The path ends at a content part, a tool call, a tool, or at a message whose content is a string or
    whose whole is meant (a tool's result). The empty path is the automatic mark of the whole request.
    """

    path: Path
    ttl: str | None = None
    """The lifetime to send; None for the provider's default."""


@final
class Timeout(msgspec.Struct, frozen=True, kw_only=True):
    """How long each wait may take, in seconds; None is no limit."""

    connect: float | None = 10.0
    """Until a connection is made; waiting for a free one of the pool counts apart, by the same limit."""
    first_event: float | None = 600.0
    """From sending the request until the first meaningful event; for an answer in one piece, all of it."""
    idle: float | None = 300.0
    """Between two meaningful events; pings, comments and single bytes do not count as events."""
    total: float | None = 3600.0
    """The whole call, retries and their pauses included."""


@final
class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one provider, as the caller gave it; never used for another provider."""

    provider: str
    api_key: Secret | None = None
    api_base: str | None = None
    options: Mapping[str, str | Secret] = {}
    """The provider's own routing arguments, such as ``aws_region_name``."""


@final
class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request on its way in. A stage changes it with ``msgspec.structs.replace``.

    With another *model*, the keys and addresses given for the former provider are not used: those of
    the new one come from the environment.
    """

    model: str
    """``provider/model``."""
    messages: Sequence[Any]
    """The caller's own objects: never change them, replace those that differ."""
    params: Mapping[str, Any] = {}
    """OpenAI's parameters, and whatever the provider takes beyond them."""
    stream: bool = False
    tools: Sequence[Any] | None = None
    marks: tuple[Mark, ...] = ()
    """The cache marks to send; written by ``translate_cache_control``."""
    notes: tuple[CacheNote, ...] = ()
    """What became of the caller's marks so far."""
    cache_control: Any = None
    """A mark for the whole request, as Anthropic's automatic caching has it."""
    cache_control_injection_points: Sequence[Any] | None = None
    keep_cache_control: bool = False
    drop_params: bool = False
    access: Access | None = None
    extra_headers: Mapping[str, str] = {}
    extra_body: Mapping[str, Any] = {}
    timeout: Timeout = Timeout()
    deadline: float | None = None
    """When the whole call must be over, by ``time.monotonic()``."""
    max_retries: int = 2
    recorders: tuple[Recorder, ...] = ()
    attempt: int = 0
    """How many attempts went before this one."""
    call_id: str = ""

    @property
    def provider(self) -> str:
        """The provider's name: *model* up to the first slash."""
        return self.model.partition("/")[0]

    @property
    def model_id(self) -> str:
        """The model as the provider knows it: *model* after the first slash."""
        return self.model.partition("/")[2]

    @property
    def reach(self) -> Access:
        """The caller's access for this request's provider; an empty one when it was given for another."""
        access, provider = self.access, self.model.partition("/")[0]
        return access if access is not None and access.provider == provider else Access(provider=provider)


class Recorder(Protocol):
    """Who wants to know of every attempt: told before a byte leaves and once when it is over."""

    def open(self, attempt_id: str, request: Request, /) -> None:
        """An attempt is about to be sent."""

    def settle(
        self, attempt_id: str, usage: Usage, model: str | None, error: BaseException | None, /
    ) -> None:
        """The attempt is over; *error* is None for a whole answer and for one that the caller let go.

        Called exactly once for every `open`, whatever ends the attempt; never awaits, never raises.
        """
