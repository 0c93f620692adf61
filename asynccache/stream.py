"""One answer in flight: a source, and the machines that its items run through."""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast, final

import msgspec
from anyio import CancelScope, ClosedResourceError, EndOfStream  # not on first use: that may be the end
from anyio.abc import ObjectReceiveStream

from asynccache.reply import CacheReport

__all__ = ["Emit", "Head", "Machine", "Source", "Stream", "outlet"]

T = TypeVar("T")
U = TypeVar("U")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)

Emit: TypeAlias = Callable[[T], object]


class Machine(Protocol[In_contra, Out_co]):
    """What happens to every item of a stream: synchronous and without I/O.

    Beside the two methods a machine may have

    - ``takes``, a frozenset of types: it is fed items of these types only, all others pass it by at no
      cost;
    - ``interrupted(error, emit)``, called instead of `flush`, from the outermost machine to the innermost,
      when the stream ends before its end: *error* is why, None when the caller let the stream go;
    - ``over()``, called on each after that, whatever machines between them made of it.
    """

    def feed(self, item: In_contra, emit: Emit[Out_co], /) -> None:
        """Take one item, emit any number by the *emit* of this call: a machine piped later changes it.

        Raises:
            anyio.EndOfStream: the machine has seen the end of the answer; nothing more is read.
        """

    def flush(self, emit: Emit[Out_co], /) -> None:
        """The stream is at its end: emit what is held back."""


class Source(Protocol):
    """Where a stream's items come from. Any ``anyio.abc.ObjectReceiveStream`` is one.

    A source may also have ``close()``, which frees its resources at once and without awaiting, and is then
    called in place of `aclose`; and ``finish()``, awaited once when the answer is over though the source is
    not.
    """

    async def receive(self) -> Any:
        """The next item.

        Raises:
            anyio.EndOfStream: there is none.
        """

    async def aclose(self) -> None:
        """Free the resources."""


@final
class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What was known before the first byte of an answer's body."""

    status: int = 200
    headers: dict[str, str] = {}
    """Names in lower case; of a repeated header the last."""
    request_id: str | None = None
    touch: Callable[[], None] | None = None
    """Tells the source's idle clock that a meaningful event came."""
    cache_report: CacheReport = CacheReport()
    """What became of the caller's cache marks."""
    max_event: int = 16 * 1024 * 1024
    """The largest event that the body may hold, in bytes."""

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Stream(ObjectReceiveStream[T], Generic[T]):
    """One answer in flight. Leaving it early closes its socket at once, in the caller's task.

    Items decoded before an error are received before it is raised. An ``async with`` block, `aclose`,
    a cancellation and an error close the source; a stream that is dropped unread closes it too, with a
    `ResourceWarning`.
    """

    def __init__(self, source: Source, head: Head | None = None) -> None:
        self.head: Head = head or Head()
        self._source = source
        self._machines: list[Machine[Any, Any]] = []
        self._links: list[tuple[Machine[Any, Any], Emit[Any]]] = []
        self._inlet: tuple[Callable[[Any, Emit[Any]], object], Emit[Any]] | None = None
        self._received = False
        self.ready: deque[T] = deque()
        """Items decoded and not yet received."""
        self._end: Exception | None = None  # why there is nothing more
        self._over = False  # every machine knows how it ended
        self._closed = False  # the source is freed

    def pipe(self, machine: Machine[T, U]) -> Stream[U]:
        """Let every item run through *machine* as well.

        Raises:
            RuntimeError: the first item has been received already.
        """
        if self._received:
            msg = "pipe() comes before the first receive(): earlier items would pass the machine by"
            raise RuntimeError(msg)
        self._machines.append(machine)
        if self._inlet is not None:
            self._run_late(machine)
        return cast("Stream[U]", self)

    def _run_late(self, machine: Machine[Any, Any]) -> None:
        """What a `peek` has brought runs through *machine* too."""
        early = list(self.ready)
        self.ready.clear()
        self._connect()
        takes = getattr(machine, "takes", None)
        emit = self.ready.append
        for item in early:
            if takes is None or type(item) in takes:
                machine.feed(item, emit)
            else:
                emit(item)
        if self._over and self.failed is None:
            machine.flush(emit)
        elif self._over and (interrupted := getattr(machine, "interrupted", None)):
            interrupted(self.failed, emit)

    async def receive(self) -> T:
        """The next item.

        Raises:
            anyio.EndOfStream: the answer is complete.
            anyio.ClosedResourceError: the stream was closed before.
            AsyncCacheError: the answer broke off, or the provider reported an error.
        """
        self._received = True
        ready = self.ready
        while not ready:
            if self._end is not None:
                if not self._closed:
                    await self._release()
                if type(self._end) is EndOfStream:
                    raise EndOfStream  # a new one: one that is kept would hold, by its traceback, this stream
                raise self._end
            try:
                feed, emit = self._inlet or self._connect()
                feed(await self._source.receive(), emit)  # the only await per read
            except BaseException as error:
                await self._stop(error)
                if not isinstance(error, Exception):
                    raise
        return ready.popleft()

    def __aiter__(self) -> Stream[T]:
        return self

    async def __anext__(self) -> T:
        if self.ready and self._received:  # the common case, without a second coroutine
            return self.ready.popleft()
        try:
            return await self.receive()
        except EndOfStream:
            raise StopAsyncIteration from None

    async def peek(self, wanted: Callable[[T], bool]) -> bool:
        """Wait until an item that is *wanted* is ready, without taking any; False if the stream ends before.

        Machines may still be piped afterwards: what is ready runs through them too.
        """
        ready, seen = self.ready, 0
        while True:
            for item in islice(ready, seen, None) if seen else ready:
                if wanted(item):
                    return True
            if self._end is not None:
                return False
            seen = len(ready)
            await self._pull()

    async def drain(self, take: Callable[[T], object]) -> None:
        """Hand every item to *take* until the answer is complete, and close: `receive` without a wait an item.

        Raises:
            anyio.ClosedResourceError: the stream was closed before.
            AsyncCacheError: the answer broke off, or the provider reported an error.
        """
        self._received = True
        ready = self.ready
        try:
            while True:
                while ready:
                    take(ready.popleft())
                if self._end is not None:
                    break
                await self._pull()
            if not self._closed:
                await self._release()
        except BaseException:
            await self.aclose()
            raise
        if type(self._end) is not EndOfStream:
            raise self._end

    @property
    def failed(self) -> Exception | None:
        """The error that `receive` will raise once the items before it are taken; None if there is none."""
        end = self._end
        return None if end is None or isinstance(end, (EndOfStream, ClosedResourceError)) else end

    async def aclose(self) -> None:
        """Let the answer go: what was not received is lost. Idempotent, and safe under cancellation."""
        self.ready.clear()
        try:
            if self._end is None:
                self._end = ClosedResourceError()
                self._interrupt(None)
        finally:
            await self._shut()

    async def _pull(self) -> None:
        try:
            feed, emit = self._inlet or self._connect()
            feed(await self._source.receive(), emit)
        except BaseException as error:
            await self._stop(error)
            if not isinstance(error, Exception):
                raise

    async def _stop(self, error: BaseException) -> None:
        """There is nothing more, by *error*, which `receive` raises after what came before it."""
        if isinstance(error, EndOfStream):  # the source's end, or a machine's word that the answer is whole
            self._end = EndOfStream()
            self._flush()
            if self.failed is not None:
                await self._shut()
            return
        self._end = error if isinstance(error, Exception) else ClosedResourceError()
        self._interrupt(error)
        await self._shut()

    def _connect(self) -> tuple[Callable[[Any, Emit[Any]], object], Emit[Any]]:
        """Link the machines, and answer with the innermost: how it is fed, and where it emits to.

        Those that take a few types only share one look at an item's type.
        """
        self._links = []
        emit: Emit[Any] = self.ready.append
        beyond = emit
        table: dict[type[Any], Emit[Any]] = {}
        self._inlet = None
        for machine in reversed(self._machines):
            self._links.append((machine, emit))
            takes = getattr(machine, "takes", None)
            if takes is not None:
                table = table | dict.fromkeys(takes, _link(machine.feed, emit))
                emit = _ByType(table, beyond)
            elif len(self._links) == len(self._machines):  # the innermost is fed itself
                self._inlet = machine.feed, emit
            else:
                emit = beyond = _link(machine.feed, emit)
                table = {}
        if self._inlet is None:
            self._inlet = _pass_on, emit
        return self._inlet

    def _flush(self) -> None:
        try:
            for machine, emit in reversed(self._links):
                machine.flush(emit)
        except EndOfStream:
            self._over = True
        except Exception as exc:  # noqa: BLE001 - a body that was cut short; receive() raises it
            self._end = exc
            self._interrupt(exc)
        self._over = True

    def _interrupt(self, error: BaseException | None) -> None:
        if self._over:
            return
        self._over = True
        if self._inlet is None:
            self._connect()
        failed: Exception | None = None
        for machine, emit in self._links:  # outermost first: it must know before partial results arrive
            interrupted = getattr(machine, "interrupted", None)
            if interrupted is not None:
                try:
                    interrupted(error, emit)
                except Exception as exc:  # noqa: BLE001 - one that fails, fails for itself: others are told
                    failed = failed or exc
        for machine, _ in self._links:
            over = getattr(machine, "over", None)
            if over is not None:
                over()
        if failed is not None and error is None:
            raise failed
        if failed is not None and failed is not error:
            error.add_note(f"a stage that was told of it failed with {failed!r}")  # type: ignore[union-attr]  # as above

    async def _release(self) -> None:
        """The answer is whole: give the connection back where the source can."""
        self._closed = True
        finish = getattr(self._source, "finish", None)
        try:
            if finish is not None:
                await finish()
        finally:
            await self._free()

    async def _shut(self) -> None:
        if not self._closed:
            self._closed = True
            await self._free()

    async def _free(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            close()
            return
        with CancelScope(shield=True):
            await self._source.aclose()

    def __del__(self) -> None:
        if getattr(self, "_closed", True) or sys.is_finalizing():  # what is left then goes with the process
            return
        self._closed = True
        unfinished = self._end is None
        close = getattr(self._source, "close", None)
        try:
            if unfinished:
                self._end = ClosedResourceError()
                self._interrupt(None)
        finally:
            if close is not None:
                close()
        if unfinished:
            warnings.warn(
                f"{self!r} was dropped before its end; use `async with stream:` or `await stream.aclose()`",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )


def _pass_on(item: Any, emit: Emit[Any]) -> None:
    emit(item)


def _link(feed: Callable[[Any, Emit[Any]], object], emit: Emit[Any]) -> Emit[Any]:
    return lambda item: feed(item, emit)


@final
class _ByType:
    """Sends an item on to the first machine that takes its type: one look for all that take a few only."""

    __slots__ = ("beyond", "find")

    def __init__(self, table: dict[type[Any], Emit[Any]], beyond: Emit[Any]) -> None:
        self.find = table.get
        self.beyond = beyond

    def __call__(self, item: Any) -> None:
        self.find(item.__class__, self.beyond)(item)


def outlet(emit: Emit[Any], kind: type[Any]) -> Emit[Any]:
    """Where *emit* sends items of type *kind*; asked once by a machine that has many of them to send."""
    known: Any = emit
    return known.find(kind, known.beyond) if type(known) is _ByType else emit
