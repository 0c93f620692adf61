"""HTTP as a fault wants it: heads, lengths that lie, chunks that break off, and sockets that end badly."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from typing import TYPE_CHECKING, Any, final

import msgspec

if TYPE_CHECKING:
    from .faults_knobs import Fault

_FLOOD = b"x" * 65536
_BOMB = bytes(1024 * 1024)


@final
class Head(msgspec.Struct, kw_only=True):
    """The first line and the headers of a message."""

    first: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        """The last value of a header."""
        return next((value for key, value in reversed(self.headers) if key.lower() == name), None)

    def without(self, *names: str) -> list[tuple[str, str]]:
        """The headers but for these."""
        return [(key, value) for key, value in self.headers if key.lower() not in names]


async def read_head(reader: asyncio.StreamReader, first: bytes = b"") -> Head | None:
    """The next head on the connection; None where it ends instead."""
    try:
        raw = first + await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = raw.decode("latin-1").split("\r\n")
    pairs = [(key, value.strip()) for key, _, value in (entry.partition(":") for entry in rest if entry)]
    return Head(first=line, headers=pairs)


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    """A request's whole body."""
    length = head.get("content-length")
    if length is not None:
        return await reader.readexactly(int(length))
    if head.get("transfer-encoding") is None:
        return b""
    parts: list[bytes] = []
    while part := await read_chunk(reader):
        parts.append(part)
    return b"".join(parts)


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk; b"" for the last one."""
    line = await reader.readline()
    if not line:
        raise ConnectionResetError("the simulator went in the middle of its answer")
    size = int(line.split(b";")[0], 16)
    data = await reader.readexactly(size)
    await reader.readline()
    return data


@final
class Answering:
    """One answer on its way out, framed as the fault says."""

    def __init__(self, writer: asyncio.StreamWriter, fault: Fault) -> None:
        self._writer = writer
        self._fault = fault
        self._chunked = fault.framing == "chunked"
        self._random = random.Random(fault.split_seed)  # noqa: S311 - a seeded fault
        self.sent = 0
        """Bytes of the body, without its framing."""

    async def head(self, status: str, headers: list[tuple[str, str]], length: int) -> None:
        """Send the head; *length* is that of the whole body."""
        fault = self._fault
        if fault.early_hints:
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
        named = [*headers, *fault.headers.items()]
        named += [(f"x-flood-{number}", "f" * 4096) for number in range(fault.header_flood)]
        if self._chunked:
            named.append(("transfer-encoding", "chunked"))
        elif fault.framing == "close":
            named.append(("connection", "close"))
        else:
            lie = {"short_length": -length // 2, "long_length": 4096}.get(fault.framing, 0)
            named.append(("content-length", str(length + lie)))
        text = "".join(f"{key}: {value}\r\n" for key, value in named)
        self._writer.write(f"HTTP/1.1 {status}\r\n{text}\r\n".encode("latin-1"))
        await self._writer.drain()

    async def body(self, data: bytes) -> None:
        """Send a piece of the body, in as many writes as the fault wants."""
        begin = 0
        while begin < len(data):
            size = self._fault.split or len(data)
            if self._fault.split_seed is not None:
                size = self._random.randint(1, 64)
            await self._write(data[begin : begin + size])
            begin += size

    async def end(self, *, rest: bytes = b"") -> bool:
        """End the answer as the fault says; whether the connection can serve another request."""
        fault, writer = self._fault, self._writer
        if fault.end == "clean":
            await self.body(rest)
            if fault.hold:
                await asyncio.sleep(fault.hold)
            if self._chunked:
                writer.write(b"0\r\n\r\n")
                await writer.drain()
            return fault.framing in ("chunked", "length") and not fault.hang_up
        if fault.end in ("rst", "half_close", "fin", "fin_in_chunk"):
            await self._hang_up()
        elif fault.end == "bad_chunk":
            writer.write(b"xyz\r\n")
            await asyncio.Event().wait()
        elif fault.end in ("drip", "pings"):
            while True:
                await self._write(b": ping\n\n" if fault.end == "pings" else b"d")
                await asyncio.sleep(fault.every)
        elif fault.end == "flood":
            await self._write(b"data: ")
            while True:
                await self._write(_FLOOD)
        else:
            await asyncio.Event().wait()
        return False

    async def bomb(self, packer: Any) -> None:
        """Packed zeros for ever."""
        await self._write(packer.pack(b"data: "))
        while True:
            await self._write(packer.pack(_BOMB))
            await asyncio.sleep(0)

    async def _hang_up(self) -> None:
        end, writer = self._fault.end, self._writer
        if end == "fin_in_chunk":
            writer.write(b"ff\r\ndata: {")
        await writer.drain()
        if end == "half_close":
            writer.write_eof()
            await asyncio.Event().wait()
        elif end == "rst":
            await asyncio.sleep(0.01)  # what was sent before shall arrive
            reset(writer)

    async def _write(self, data: bytes) -> None:
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        await self._writer.drain()
        self.sent += len(data)
        if self._fault.split or self._fault.split_seed is not None:
            await asyncio.sleep(0)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection with a reset."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
