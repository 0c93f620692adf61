"""Events of one answer that differ in their text alone are recognized by their bytes, many at a time."""

from __future__ import annotations

import re
from typing import final

__all__ = ["Likeness", "likeness"]

_LONGEST = 64 * 1024  # bytes of a text that later events are likened to
_PAD = b'"obfuscation":"'  # OpenAI's padding, of any length
_PAD_END = b'"}\n\n'
_TEXT = re.compile(rb'(?:[^"\\\n]+|\\.)*')
_QUOTE, _BACKSLASH = b'"', 92
_MARK = 24  # bytes; CPython prepares the search for a long separator anew at every place where it stands


@final
class Likeness:
    """The bytes around one event's text.

    Args:
        head: up to the text.
        tail: behind the text, up to the event's end, or to its padding where it is *padded*.
        padded: whether padding comes between the tail and the event's end.
    """

    __slots__ = ("_again", "_between", "_end", "_head", "_mark", "_padded", "_tail")

    def __init__(self, head: bytes, tail: bytes, *, padded: bool) -> None:
        self._head = head
        self._tail = tail
        self._padded = padded
        self._mark = head[-_MARK:]
        self._end = _PAD_END if padded else tail
        self._again = self._end + head  # between two texts, or between a padding and a text
        self._between = self._end + head[:-_MARK]

    def until(self, whole: bytes, at: int) -> int:
        """Where the first event from *at* on is that is not alike; *whole* ends with an event's end."""
        if not whole.startswith(self._head, at):
            return at
        stop = whole.find(b"\n\n", whole.rfind(self._mark)) + 2
        if stop <= at:
            return at
        *pieces, last = whole[at + len(self._head) : stop].split(self._mark)
        if not self._padded and last.endswith(self._end) and self._are_plain(whole[at:stop], pieces, last):
            return stop
        size, rest = len(self._head) + len(self._end), len(self._between)
        for piece in pieces:
            length = len(piece) - rest
            if not piece.endswith(self._between) or not self._is_alike(piece, length):
                return at
            at += size + length
        length = len(last) - len(self._end)
        return stop if last.endswith(self._end) and self._is_alike(last, length) else at

    def _are_plain(self, events: bytes, pieces: list[bytes], last: bytes) -> bool:
        """Whether all texts are without a quote, an escape or a line's end, and all else is as it was: no loop."""
        rest = len(self._between)
        texts = [piece[:-rest] for piece in pieces]
        texts.append(last[: -len(self._end)])
        said = b"".join(texts)
        if said.find(_QUOTE) >= 0 or said.find(b"\\") >= 0 or said.find(b"\n") >= 0:
            return False
        return b"".join((self._head, self._again.join(texts), self._end)) == events

    def _is_alike(self, piece: bytes, length: int) -> bool:
        """Whether *length* bytes of *piece* are a text, and the tail and padding where there is some."""
        end = piece.find(_QUOTE)
        if end > 0 and piece[end - 1] == _BACKSLASH:
            text = _TEXT.match(piece)
            end = -1 if text is None else text.end()
        if end < 0 or piece.find(b"\n", 0, length) >= 0:
            return False
        if not self._padded:
            return end == length
        return piece.startswith(self._tail, end) and piece.find(_QUOTE, end + len(self._tail)) == length


def likeness(event: bytes, fields: tuple[bytes, ...]) -> Likeness | None:
    """What events like *event* look like; None where its text, behind one of *fields*, is not to be found."""
    for field in fields:
        at = event.find(field)
        if at >= 0:
            break
    else:
        return None
    at += len(field)
    text = _TEXT.match(event, at)
    if text is None or text.end() - at > _LONGEST:
        return None
    head, tail = event[:at], event[text.end() :]
    pad = tail.find(_PAD)
    if pad < 0:
        return Likeness(head, tail, padded=False)
    pad += len(_PAD)
    if tail.find(_QUOTE, pad) != len(tail) - len(_PAD_END) or not tail.endswith(_PAD_END):
        return None
    return Likeness(head, tail[:pad], padded=True)
