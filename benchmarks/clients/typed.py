"""The reference decoders: msgspec Structs with the fields that a client uses, and the shortest right framing."""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

import msgspec

from benchmarks.clients import Said


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Cached(msgspec.Struct, gc=False):
    cached_tokens: int = 0


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Cached


class _Chunk(msgspec.Struct, gc=False):
    id: str
    model: str
    choices: list[_Choice]
    usage: _Usage | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class OpenAIReader:
    """OpenAI's stream."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._rest = b""
        self._usage: _Usage | None = None
        self._finish: str | None = None

    def feed(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        end = data.rfind(b"\n\n")
        if end < 0:
            self._rest = data
            return
        self._rest = data[end + 2 :]
        for event in data[:end].split(b"\n\n"):
            if event == b"data: [DONE]" or not event.startswith(b"data: "):
                continue
            chunk = _decode_chunk(event[6:])
            if chunk.usage is not None:
                self._usage = chunk.usage
            for choice in chunk.choices:
                delta = choice.delta
                if delta is not None and delta.content:
                    self.parts.append(delta.content)
                elif delta is not None and delta.tool_calls:
                    self._hear(delta.tool_calls)
                if choice.finish_reason is not None:
                    self._finish = choice.finish_reason

    def _hear(self, calls: list[_Call]) -> None:
        for call in calls:
            if call.function is not None and call.function.arguments:
                self.parts.append(call.function.arguments)

    def said(self) -> Said:
        usage = self._usage
        assert usage is not None
        assert self._finish is not None
        cached = usage.prompt_tokens_details.cached_tokens
        return Said("".join(self.parts), usage.prompt_tokens, usage.completion_tokens, cached)


class _Counts(msgspec.Struct, gc=False):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class _Text(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Message(msgspec.Struct, gc=False):
    id: str
    model: str
    usage: _Counts


class _Event(msgspec.Struct, gc=False):
    type: str
    index: int = 0
    delta: _Text | None = None
    message: _Message | None = None
    usage: _Counts | None = None


_decode_event = msgspec.json.Decoder(_Event).decode


class AnthropicReader:
    """Anthropic's stream."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._rest = b""
        self._first: _Counts | None = None
        self._last: _Counts | None = None
        self._done = False

    def feed(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        end = data.rfind(b"\n\n")
        if end < 0:
            self._rest = data
            return
        self._rest = data[end + 2 :]
        for block in data[:end].split(b"\n\n"):
            at = block.find(b"data: ")
            if at < 0:
                continue
            event = _decode_event(block[at + 6 :])
            if event.type == "content_block_delta":
                if event.delta is not None and event.delta.type == "text_delta" and event.delta.text:
                    self.parts.append(event.delta.text)
            elif event.type == "message_start":
                assert event.message is not None
                self._first = event.message.usage
            elif event.type == "message_delta":
                self._last = event.usage
            elif event.type == "message_stop":
                self._done = True

    def said(self) -> Said:
        first, last = self._first, self._last
        assert self._done
        assert first is not None
        assert last is not None
        prompt = first.input_tokens + first.cache_read_input_tokens + first.cache_creation_input_tokens
        return Said("".join(self.parts), prompt, last.output_tokens, first.cache_read_input_tokens)


class _ConverseUsage(msgspec.Struct, rename="camel", gc=False):
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0


class _ConverseText(msgspec.Struct, gc=False):
    text: str | None = None


class _ConverseEvent(msgspec.Struct, rename="camel", gc=False):
    content_block_index: int = 0
    delta: _ConverseText | None = None
    stop_reason: str | None = None
    usage: _ConverseUsage | None = None


_decode_converse = msgspec.json.Decoder(_ConverseEvent).decode
_lengths = struct.Struct(">II").unpack_from
_u32 = struct.Struct(">I").unpack_from


class ConverseReader:
    """Bedrock's frames; checksums are checked, headers are passed over."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._rest = b""
        self._usage: _ConverseUsage | None = None
        self._stop: str | None = None

    def feed(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        start, end = 0, len(data)
        while end - start >= 12:
            total, headers = _lengths(data, start)
            if end - start < total:
                break
            stop = start + total - 4
            if crc32(data[start:stop]) != _u32(data, stop)[0]:
                raise ValueError(start)
            event = _decode_converse(data[start + 12 + headers : stop])
            if event.delta is not None and event.delta.text:
                self.parts.append(event.delta.text)
            elif event.stop_reason is not None:
                self._stop = event.stop_reason
            elif event.usage is not None:
                self._usage = event.usage
            start = stop + 4
        self._rest = data[start:]

    def said(self) -> Said:
        usage = self._usage
        assert usage is not None
        assert self._stop is not None
        prompt = usage.input_tokens + usage.cache_read_input_tokens
        return Said("".join(self.parts), prompt, usage.output_tokens, usage.cache_read_input_tokens)


class _Reply(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage


class _TextBlock(msgspec.Struct, gc=False):
    text: str | None = None


class _AnthropicReply(msgspec.Struct):
    content: list[_TextBlock]
    usage: _Counts


_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_anthropic = msgspec.json.Decoder(_AnthropicReply).decode


def read_whole(wire: str, body: bytes) -> Said:
    """An answer that is not streamed."""
    if wire == "openai":
        reply = _decode_reply(body)
        used = reply.usage
        message = reply.choices[0].message
        assert message is not None
        cached = used.prompt_tokens_details.cached_tokens
        return Said(message.content, used.prompt_tokens, used.completion_tokens, cached)
    if wire == "anthropic":
        answer = _decode_anthropic(body)
        counts = answer.usage
        prompt = counts.input_tokens + counts.cache_read_input_tokens
        text = answer.content[0].text
        return Said(text, prompt, counts.output_tokens, counts.cache_read_input_tokens)
    told: Any = msgspec.json.decode(body)
    spent = told["usage"]
    prompt = spent["inputTokens"] + spent["cacheReadInputTokens"]
    text = told["output"]["message"]["content"][0]["text"]
    return Said(text, prompt, spent["outputTokens"], spent["cacheReadInputTokens"])
