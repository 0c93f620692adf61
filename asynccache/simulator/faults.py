"""A relay before the simulator that spoils answers below HTTP, where a well-behaved server cannot.

`async with Simulator() as sim, Faults(sim) as faults:` and ask `faults.openai_base`; each request says in its
`x-simulator` header what is to happen to it: `{"fault": {"cut_event": 3, "end": "rst"}}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Self, final

from .addresses import Addresses
from .door import logged_headers
from .faults_body import EventSplitter, Packer, big_event, dressed, told_usage
from .faults_knobs import NO_FAULT, Fault, split_header
from .faults_wire import Answering, Head, read_body, read_chunk, read_head
from .log import Record
from .scenario import HEADER
from .speaking import closed

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from .server import Simulator

_LINGER = 0.3  # seconds
_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")


@final
class Faults(Addresses):
    """The simulator at another address, where answers can be spoiled.

    Args:
        sim: the running simulator behind it.
        tls: makes the listener speak TLS.
    """

    def __init__(self, sim: Simulator, *, tls: ssl.SSLContext | None = None) -> None:
        self._sim = sim
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen: dict[str, int] = {}
        self.log: list[Record] = []
        """What truly went out to the client, oldest first; `sim.log` tells what the provider meant to say."""
        self.open = 0
        """Connections that stand now."""
        self.accepted = 0
        """Connections that were ever made."""
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connection, "127.0.0.1", 0, ssl=self._tls, limit=2**20
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a task is what runs this
        self._tasks.add(task)
        self.open += 1
        self.accepted += 1
        first = b""
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while (head := await read_head(reader, first)) is not None:
                    again, first = await self._exchange(head, reader, writer)
                    if not again:
                        break
        except asyncio.CancelledError:
            pass  # the relay stops
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _exchange(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[bool, bytes]:
        """Answer one request; whether the connection goes on, and the first byte of what comes next."""
        fault, rest = self._fault(head)
        record = self._record(head)
        if fault.delay_accept:
            await asyncio.sleep(fault.delay_accept)
        body = b"" if fault.refuse_early else await read_body(reader, head)
        if fault.no_answer:
            closed(record, "scenario")
            return False, b""
        answer = _Answer(self._sim, fault, record, writer)
        play = asyncio.ensure_future(answer.play(head, body, rest))
        watch = asyncio.ensure_future(reader.read(0 if fault.refuse_early else 1))
        try:
            await asyncio.wait({play, watch}, return_when=asyncio.FIRST_COMPLETED)
            if fault.refuse_early:
                await play
                await asyncio.sleep(_LINGER)  # a reset would overtake the answer
                return False, b""
            if not play.done():
                closed(record, "client")
                return False, b""
            again = play.result()
            closed(record, "server" if again or record.finished else "scenario")
            return again, await watch if again else b""
        except ConnectionError:
            closed(record, "client")
            return False, b""
        finally:
            for task in (play, watch):
                task.cancel()
            await asyncio.gather(play, watch, return_exceptions=True)

    def _fault(self, head: Head) -> tuple[Fault, str | None]:
        header = head.get(HEADER)
        fault, rest = split_header(header)
        if header is not None and fault.times is not None:
            seen = self._seen[header] = self._seen.get(header, 0) + 1
            if seen > fault.times:
                fault = NO_FAULT
        return fault, rest

    def _record(self, head: Head) -> Record:
        path = head.first.split(" ")[1]
        record = Record(
            number=len(self.log) + 1,
            wire=path.split("/")[1],
            path=path,
            at=self._sim.clock.now(),
            loop_time=asyncio.get_running_loop().time(),
            headers=logged_headers(dict(head.headers)),
            scenario=head.get(HEADER),
        )
        self.log.append(record)
        return record


@final
class _Answer:
    """One answer, from the simulator to the client, spoiled on its way."""

    def __init__(self, sim: Simulator, fault: Fault, record: Record, writer: asyncio.StreamWriter) -> None:
        self._sim = sim
        self._fault = fault
        self._record = record
        self._out = Answering(writer, fault)
        self._packer = Packer(fault.encoding)
        self._random = random.Random(fault.jitter_seed)  # noqa: S311 - a seeded fault
        self._events = 0
        self._size = 0  # of the text sent so far

    async def play(self, head: Head, body: bytes, rest: str | None) -> bool:
        """Say it all; whether the connection can serve another request."""
        fault = self._fault
        if fault.delay_head:
            await asyncio.sleep(fault.delay_head)
        if fault.body is not None:
            return await self._instead(fault.body.encode())
        reader, writer = await asyncio.open_connection("127.0.0.1", self._sim.port, limit=2**20)
        try:
            headers = [
                *head.without(HEADER, *_HOP),
                ("connection", "close"),
                ("content-length", str(len(body))),
            ]
            if rest is not None:
                headers.append((HEADER, rest))
            text = "".join(f"{key}: {value}\r\n" for key, value in headers)
            writer.write(f"{head.first}\r\n{text}\r\n".encode("latin-1") + body)
            answered = await read_head(reader)
            if answered is None:
                return False
            return await self._relay(answered, reader)
        finally:
            writer.close()

    async def _instead(self, body: bytes) -> bool:
        fault = self._fault
        kind = fault.content_type or "application/json"
        await self._head(Head(first="HTTP/1.1 200 OK", headers=[("content-type", kind)]), body)
        if not await self._event(body, sse=False):
            return await self._end(b"")
        return await self._end(b"")

    async def _relay(self, head: Head, reader: asyncio.StreamReader) -> bool:
        fault = self._fault
        splitter = EventSplitter(head.get("content-type") or "")
        known = b""
        if fault.framing in ("length", "short_length", "long_length") or head.get("content-length"):
            known = await self._all(head, reader)
        await self._head(head, self._packed_whole(known, splitter) if known else b"")
        if fault.bom:
            await self._say(b"\xef\xbb\xbf")
        if fault.event_size and not await self._event(
            big_event(fault.event_size, sse=splitter.is_sse), sse=False
        ):
            return await self._end(b"")
        while True:
            data = known or await read_chunk(reader)
            done = not data or bool(known)
            events = splitter.feed(data)
            for event in [*events, *splitter.rest()] if done else events:
                if not await self._event(event, sse=splitter.is_sse):
                    return await self._end(b"")
            if done:
                self._record.finished = fault.end == "clean"
                return await self._end(self._packer.end())

    async def _all(self, head: Head, reader: asyncio.StreamReader) -> bytes:
        length = head.get("content-length")
        if length is not None:
            return await reader.readexactly(int(length))
        return await read_body(reader, head)

    def _packed_whole(self, body: bytes, splitter: EventSplitter) -> bytes:
        """The whole body as it will go out, for its length."""
        fault = self._fault
        other = EventSplitter("text/event-stream" if splitter.is_sse else "")
        events = [*other.feed(body), *other.rest()] if splitter.is_sse else [body]
        text = b"".join(
            dressed(event, fault, number) if splitter.is_sse else event for number, event in enumerate(events)
        )
        return (b"\xef\xbb\xbf" if fault.bom else b"") + text

    async def _head(self, head: Head, whole: bytes) -> None:
        fault = self._fault
        status = head.first.partition(" ")[2] if fault.status is None else f"{fault.status} Asked For"
        self._record.status = int(status.split(" ")[0])
        headers = head.without(*_HOP, *(("content-type",) if fault.content_type else ()))
        if fault.content_type:
            headers.append(("content-type", fault.content_type))
        if self._packer.header is not None:
            headers.append(("content-encoding", self._packer.header))
        await self._out.head(status, headers, len(whole))

    async def _event(self, event: bytes, *, sse: bool) -> bool:
        """Send one event, or as much of it as comes before the cut; whether the answer goes on."""
        fault = self._fault
        if fault.cut_event is not None and self._events >= fault.cut_event:
            return False
        if fault.delay_event:
            await asyncio.sleep(
                fault.delay_event * (1.0 if fault.jitter_seed is None else 2 * self._random.random())
            )
        text = dressed(event, fault, self._events) if sse else event
        if fault.flip is not None and self._events == 0:
            spoiled = bytearray(text)
            spoiled[fault.flip % len(spoiled)] ^= 0xFF
            text = bytes(spoiled)
        left = None if fault.cut_byte is None else fault.cut_byte - self._size
        if left is not None and left < len(text):
            await self._say(text[:left])
            return False
        await self._say(text)
        self._events += 1
        self._record.events_sent = self._events
        usage = told_usage(event)
        if usage is not None:
            self._record.usage = usage
        return True

    async def _say(self, text: bytes) -> None:
        if text:
            await self._out.body(self._packer.pack(text))
            self._size += len(text)
            self._record.bytes_sent = self._out.sent

    async def _end(self, rest: bytes) -> bool:
        if self._fault.end == "bomb":
            await self._out.bomb(self._packer)
        return await self._out.end(rest=rest)
