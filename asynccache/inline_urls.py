"""Stage, for callers who allow it: addresses of images and files are fetched and sent as data."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
from typing import TYPE_CHECKING, Any, final

import aiohttp
import msgspec
import yarl

from asynccache.errors import InvalidRequestError
from asynccache.request import path_text
from asynccache.secret import redact
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from asynccache.events import Event
    from asynccache.pipeline import CallNext
    from asynccache.request import Path, Request
    from asynccache.stream import Stream

__all__ = ["InlineURLs"]

_MAX_BYTES = 20 * 1024 * 1024
# Where a part of this type holds its address: the member, and the member of that; the last two are Anthropic's.
_PLACES = {
    "image_url": ("image_url", "url"),
    "video_url": ("video_url", "url"),
    "file": ("file", "file_data"),
    "image": ("source", "url"),
    "document": ("source", "url"),
}
# What stores answer that know nothing of the file: its name is asked then.
_ANY = frozenset({"application/octet-stream", "binary/octet-stream"})


@final
class InlineURLs:
    """Put it among a client's stages, and what providers such as Bedrock do not fetch is fetched here.

    The addresses are the caller's own words: never use it where strangers write the messages, since it
    connects to wherever they say.

    Args:
        max_bytes: the largest image or file taken.
        timeout: seconds for each.
        providers: whose requests are rewritten; others fetch for themselves.
    """

    name = "inline_urls"

    def __init__(
        self,
        *,
        max_bytes: int = _MAX_BYTES,
        timeout: float = 30.0,
        providers: frozenset[str] = frozenset({"bedrock"}),
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._providers = providers

    async def __call__(self, request: Request, call_next: CallNext, /) -> Stream[Event]:
        """Fetch what has an address, then let the request go on.

        Raises:
            InvalidRequestError: an address that cannot be fetched; the message names its path.
        """
        if request.provider not in self._providers:
            return await call_next(request)
        messages: list[Any] | None = None
        for number, message in enumerate(request.messages):
            content = message.get("content")
            if not is_array(content):
                continue
            parts = [
                await self._inline(part, ("messages", number, "content", at))
                for at, part in enumerate(content)
            ]
            if any(new is not old for new, old in zip(parts, content, strict=True)):
                messages = messages or list(request.messages)
                messages[number] = {**message, "content": parts}
        return await call_next(
            request if messages is None else msgspec.structs.replace(request, messages=messages)
        )

    async def _inline(self, part: Any, path: Path) -> Any:
        place = _PLACES.get(str(part.get("type"))) if is_object(part) else None
        if place is None:
            return part
        member, inner = place
        holder = part.get(member)
        url = holder.get(inner) if is_object(holder) else holder
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            return part
        media, content = await self._fetch(url, path)
        text = base64.b64encode(content).decode()
        if member == "source":
            return {**part, member: {"type": "base64", "media_type": media, "data": text}}
        data = f"data:{media};base64,{text}"
        return {**part, member: {**holder, inner: data} if is_object(holder) else data}

    async def _fetch(self, url: str, path: Path) -> tuple[str, bytes]:
        try:
            return await _fetch(url, self._max_bytes, self._timeout)
        except ValueError as exc:
            msg = f"{path_text(path)} cannot be fetched: {exc}"
            raise InvalidRequestError(msg) from exc


async def _fetch(url: str, max_bytes: int, timeout: float) -> tuple[str, bytes]:
    """The media type and the content at *url*, without a key and without following a redirect.

    Raises:
        ValueError: there is none, it is too large, or it took too long.
    """
    host = yarl.URL(url).host
    try:
        async with (
            asyncio.timeout(timeout),
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, allow_redirects=False, skip_auto_headers=("User-Agent",)) as response,
        ):
            if response.status != 200:
                msg = f"{host} answered with status {response.status}"
                raise ValueError(msg)
            content = bytearray()
            async for piece in response.content.iter_any():
                content += piece
                if len(content) > max_bytes:
                    msg = f"it is larger than {max_bytes} bytes"
                    raise ValueError(msg)
            media = response.content_type
            if media in _ANY:
                media = mimetypes.guess_type(yarl.URL(url).path)[0] or media
            return media, bytes(content)
    except TimeoutError:
        msg = f"{host} took longer than {timeout} s"
        raise ValueError(msg) from None
    except (aiohttp.ClientError, OSError) as exc:
        msg = f"{host} did not answer: {redact(str(exc))[:200]}"
        raise ValueError(msg) from exc
