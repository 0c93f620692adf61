"""A provider much faster than any client: pre-built bytes from a process of its own.

``python -m benchmarks.upstream`` prints its port and serves until its standard input ends. The path
says what is wanted: ``/<wire>/<chunks>/<events per write>/<pause in microseconds>/…``; the wires are
``openai`` and ``anthropic``, and ``/…/json`` anywhere in it asks for one answer that is not streamed.
"""

from __future__ import annotations

import asyncio
import sys
from functools import lru_cache

WORDS = "the model starts where the prompt is new and says what it has to say".split()


def _openai(chunks: int) -> list[bytes]:
    head = (
        'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1764075745,"model":"gpt-4o",'
        '"service_tier":"default","system_fingerprint":"fp_24710c7f06","choices":[%s],"usage":%s}\n\n'
    )
    choice = '{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}'
    events = [head % (choice % ('{"role":"assistant","content":"","refusal":null}', "null"), "null")]
    for number in range(chunks):
        delta = '{"content":" %s"}' % WORDS[number % len(WORDS)]
        events.append(head % (choice % (delta, "null"), "null"))
    events.append(head % (choice % ("{}", '"stop"'), "null"))
    usage = (
        '{"prompt_tokens":2006,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":1920},'
        '"completion_tokens_details":{"reasoning_tokens":0}}' % (chunks, 2006 + chunks)
    )
    events.append(head % ("", usage))
    events.append("data: [DONE]\n\n")
    return [event.encode() for event in events]


def _anthropic(chunks: int) -> list[bytes]:
    def event(name: str, rest: str) -> bytes:
        return f'event: {name}\ndata: {{"type":"{name}",{rest}}}\n\n'.encode()

    message = (
        '"message":{"id":"msg_bench","type":"message","role":"assistant","content":[],"model":"claude-sonnet-4-5",'
        '"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":86,"cache_creation_input_tokens":0,'
        '"cache_read_input_tokens":1920,"output_tokens":1}}'
    )
    events = [
        event("message_start", message),
        event("content_block_start", '"index":0,"content_block":{"type":"text","text":""}'),
    ]
    for number in range(chunks):
        text = f" {WORDS[number % len(WORDS)]}"
        events.append(event("content_block_delta", '"index":0,"delta":{"type":"text_delta","text":"%s"}' % text))
    events.append(event("content_block_stop", '"index":0'))
    usage = '"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":%d}' % chunks
    events.append(event("message_delta", usage))
    events.append(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    return events


WHOLE = {
    "openai": b'{"id":"chatcmpl-bench","object":"chat.completion","created":1764075745,"model":"gpt-4o","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"the model says what it has to say"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":'
    b'{"cached_tokens":1920},"completion_tokens_details":{"reasoning_tokens":0}}}',
    "anthropic": b'{"id":"msg_bench","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":'
    b'[{"type":"text","text":"the model says what it has to say"}],"stop_reason":"end_turn","usage":'
    b'{"input_tokens":86,"cache_creation_input_tokens":0,"cache_read_input_tokens":1920,"output_tokens":300}}',
}


@lru_cache(maxsize=64)
def _writes(wire: str, chunks: int, per_write: int) -> list[bytes]:
    events = {"openai": _openai, "anthropic": _anthropic}[wire](chunks)
    joined = [b"".join(events[start : start + per_write]) for start in range(0, len(events), per_write)]
    return [b"%x\r\n%b\r\n" % (len(part), part) for part in joined]


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = await reader.readexactly(length)
            _, wire, chunks, per_write, pause, *_ = head.split(b" ", 2)[1].decode().split("/")
            if b'"stream":true' in body.replace(b" ", b""):
                await _stream(writer, _writes(wire, int(chunks), int(per_write)), int(pause))
            else:
                answer = WHOLE[wire]
                header = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
                writer.write(header + answer)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _stream(writer: asyncio.StreamWriter, writes: list[bytes], pause: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for part in writes:
        writer.write(part)
        if pause:
            await asyncio.sleep(pause / 1e6)
        elif writer.transport.get_write_buffer_size() > 65536:
            await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
