"""`acompletion` and its synchronous twin, without a client to carry around."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, final, overload

from anyio.from_thread import start_blocking_portal

from asynccache.client import Client
from asynccache.completion_stream import CompletionStream
from asynccache.errors import WrongEventLoopError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from types import TracebackType

    from anyio.from_thread import BlockingPortal

    from asynccache.reply import CacheReport, Chunk, Completion, Cost, Usage

__all__ = ["SyncCompletionStream", "acompletion", "completion", "shared_client"]

T = TypeVar("T")


@overload
async def acompletion(
    model: str, messages: Sequence[Any], *, stream: Literal[True], **arguments: Any
) -> CompletionStream: ...
@overload
async def acompletion(
    model: str, messages: Sequence[Any], *, stream: Literal[False] = False, **arguments: Any
) -> Completion: ...
@overload
async def acompletion(
    model: str, messages: Sequence[Any], *, stream: bool, **arguments: Any
) -> Completion | CompletionStream: ...
async def acompletion(
    model: str, messages: Sequence[Any], *, stream: bool = False, **arguments: Any
) -> Completion | CompletionStream:
    """Ask a model, over a pool of connections shared by all calls of the running event loop.

    Args:
        model: ``provider/model``, or the bare name of a model that the price book knows.
        messages: OpenAI's messages; blocks, messages, tools and tool calls may carry ``cache_control``.
        stream: answer with a `CompletionStream` instead of a whole `Completion`.
        **arguments: OpenAI's parameters (``tools``, ``temperature``, ``max_tokens``, ``response_format`` …);
            how to reach the provider (``api_key``, ``api_base``, ``extra_headers``, ``extra_body``,
            ``aws_…``); how to call (``timeout`` in seconds or a `Timeout`, ``max_retries`` or
            ``num_retries``, ``drop_params``, ``on_usage``); how to cache (``cache_control``,
            ``cache_control_injection_points``, ``keep_cache_control``). None counts as not given.

    Raises:
        ConfigurationError: the call cannot be made as written; nothing was sent.
        APIConnectionError: no complete answer came.
        APIStatusError: the provider refused or failed.
    """
    return await shared_client().acompletion(model, messages, stream=stream, **arguments)


# Exception to "no module-level state": one shared client per event loop, closed with its loop.
_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Client, AsyncGenerator[None]]]
_shared = weakref.WeakKeyDictionary()


def shared_client() -> Client:
    """The running event loop's own client; it closes when the loop shuts down.

    Raises:
        WrongEventLoopError: no event loop of asyncio's is running in this thread.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        msg = "no event loop of asyncio's is running here, and trio's will not do; synchronous code calls completion()"
        raise WrongEventLoopError(msg) from None
    found = _shared.get(loop)
    if found is None:
        for old in [known for known in _shared if known.is_closed()]:
            del _shared[old]
        client = Client()
        closer = _close_at_shutdown(client, loop)
        found = _shared[loop] = (client, closer)
        _begin(closer)
    return found[0]


async def _close_at_shutdown(client: Client, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
    """Ends when the loop ends its generators: the only notice that a loop gives before it closes.

    It hands nothing out, so the rule against generators does not bite.
    """
    try:
        yield
    finally:
        _shared.pop(loop, None)
        await client.aclose()


def _begin(closer: AsyncGenerator[None]) -> None:
    """Run *closer* up to its yield, without awaiting: it has nothing to wait for."""
    try:
        closer.__anext__().send(None)
    except StopIteration:
        return


@final
class _Loop:
    """An event loop in a thread of its own, for calls from synchronous code."""

    def __init__(self) -> None:
        self._manager = start_blocking_portal(name="asynccache")
        self._portal: BlockingPortal = self._manager.__enter__()
        self.client: Client = Client()
        self.pid: int = os.getpid()
        atexit.register(self.close)

    def run(self, call: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Wait for *call*; an interrupt here cancels it there.

        Raises:
            WrongEventLoopError: this is a forked child, where the thread of the loop is not.
        """
        if self.pid != os.getpid():
            msg = "this stream belongs to the process that was forked; begin another one here"
            raise WrongEventLoopError(msg)
        future = self._portal.start_task_soon(call, *args)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Close the connections and end the thread."""
        if self.pid != os.getpid():
            return
        self.run(self.client.aclose)
        self._manager.__exit__(None, None, None)


# Exception to "no module-level state": the loop behind `completion`, made on first use.
_making = threading.Lock()
_loops: list[_Loop] = []


def _loop() -> _Loop:
    with _making:
        if not _loops or _loops[-1].pid != os.getpid():
            _loops.append(_Loop())
        return _loops[-1]


@overload
def completion(
    model: str, messages: Sequence[Any], *, stream: Literal[True], **arguments: Any
) -> SyncCompletionStream: ...
@overload
def completion(
    model: str, messages: Sequence[Any], *, stream: Literal[False] = False, **arguments: Any
) -> Completion: ...
@overload
def completion(
    model: str, messages: Sequence[Any], *, stream: bool, **arguments: Any
) -> Completion | SyncCompletionStream: ...
def completion(
    model: str, messages: Sequence[Any], *, stream: bool = False, **arguments: Any
) -> Completion | SyncCompletionStream:
    """`acompletion` for synchronous code; may be called from any thread, and blocks it.

    Raises:
        AsyncCacheError: as `acompletion`.
    """
    loop = _loop()

    async def call() -> Completion | CompletionStream:
        return await loop.client.acompletion(model, messages, stream=stream, **arguments)

    answer = loop.run(call)
    return SyncCompletionStream(answer, loop) if isinstance(answer, CompletionStream) else answer


@final
class SyncCompletionStream:
    """A `CompletionStream` for synchronous code."""

    def __init__(self, stream: CompletionStream, loop: _Loop) -> None:
        self._stream = stream
        self._loop = loop
        self._ready: list[Chunk] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        if not self._ready:
            self._ready = self._loop.run(self._stream.read_ready)
            self._ready.reverse()
        if not self._ready:
            raise StopIteration
        return self._ready.pop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the answer go and close its connection. Idempotent."""
        self._ready.clear()
        self._loop.run(self._stream.aclose)

    @property
    def usage(self) -> Usage | None:
        """What the request used; None while that is not known."""
        return self._stream.usage

    @property
    def cost(self) -> Cost:
        """What the request cost."""
        return self._stream.cost

    @property
    def completion(self) -> Completion:
        """The answer as it stands: whole after the last chunk."""
        return self._stream.completion

    @property
    def cache_report(self) -> CacheReport:
        """What became of every cache mark."""
        return self._stream.cache_report
