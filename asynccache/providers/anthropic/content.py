"""One part of a message's content to one block of Anthropic's; its own blocks pass as they are."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, TypeAlias

from asynccache.errors import InvalidRequestError
from asynccache.request import Path, path_text
from asynccache.shapes import is_object

__all__ = ["Block", "part_block", "with_mark"]

Block: TypeAlias = Mapping[str, Any]

# Anthropic's own blocks; anthropic-python 2.12.0, types/*_block_param.py. Results of its tools end in _tool_result.
_OWN = frozenset(
    [
        "image",
        "document",
        "search_result",
        "tool_result",
        "tool_use",
        "server_tool_use",
        "thinking",
        "redacted_thinking",
        "container_upload",
        "tool_reference",
        "tool_addition",
        "tool_removal",
        "compaction",
        "fallback",
        "browser_state",
        "mcp_tool_use",
    ]
)
_TEXT_FIELDS = frozenset({"type", "text", "citations", "cache_control"})
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def with_mark(block: Block, control: Mapping[str, str] | None) -> Block:
    """*block* with a cache mark on it, the block itself where there is none."""
    return block if control is None else {**block, "cache_control": control}


def part_block(part: Mapping[str, Any], path: Path) -> Block | None:
    """The block for *part*, which stands at *path*; None for empty text, which Anthropic refuses.

    Raises:
        InvalidRequestError: Anthropic has no block for it.
    """
    kind = part.get("type")
    if kind == "text":
        if not part["text"]:
            return None
        if len(part) == 2 or part.keys() <= _TEXT_FIELDS:
            return part
        return {name: value for name, value in part.items() if name in _TEXT_FIELDS}
    if kind == "image_url":
        return _image(part.get("image_url"), (*path, "image_url"))
    if kind == "file":
        return _file(part.get("file"), (*path, "file"))
    if kind == "refusal":
        return {"type": "text", "text": part.get("refusal") or " "}
    if kind in _OWN or (isinstance(kind, str) and kind.endswith("_tool_result")):
        return part
    msg = (
        f"{path_text((*path, 'type'))}={kind!r} is nothing that Anthropic takes; "
        "it takes 'text', 'image_url', 'file' and its own blocks, such as 'document'"
    )
    raise InvalidRequestError(msg)


def _image(image: Any, path: Path) -> Block:
    url = image.get("url") if is_object(image) else image
    if not isinstance(url, str):
        msg = f"{path_text(path)} has no 'url'; it is an address or a data URL such as 'data:image/png;base64,...'"
        raise InvalidRequestError(msg)
    return _source(url, (*path, "url"), title=None)


def _file(file: Any, path: Path) -> Block:
    if not is_object(file):
        msg = f"{path_text(path)} is no object; it holds 'file_data' (a data URL) or 'file_id'"
        raise InvalidRequestError(msg)
    title = file.get("filename")
    for name in ("file_data", "file_id"):
        value = file.get(name)
        if isinstance(value, str) and value.startswith(("data:", "https://", "http://")):
            return _source(value, (*path, name), title=title, document=True)
    if isinstance(file.get("file_id"), str):
        return _document({"type": "file", "file_id": file["file_id"]}, title)
    msg = f"{path_text(path)} holds neither 'file_id' nor 'file_data' as a data URL ('data:application/pdf;base64,...')"
    raise InvalidRequestError(msg)


def _source(url: str, path: Path, *, title: Any, document: bool = False) -> Block:
    """The block for what stands at *url*: within it, or at an address that Anthropic fetches."""
    if not url.startswith("data:"):
        if not url.startswith(("https://", "http://")):
            msg = (
                f"{path_text(path)} is neither a data URL nor an http address; encode the file as a data URL"
            )
            raise InvalidRequestError(msg)
        source = {"type": "url", "url": url}
        return _document(source, title) if document else {"type": "image", "source": source}
    head, comma, data = url.partition(",")
    media, *options = head.removeprefix("data:").lower().split(";")
    if not comma or "base64" not in options:
        msg = f"{path_text(path)} is a data URL that is not in base64; write 'data:image/png;base64,...'"
        raise InvalidRequestError(msg)
    media = "image/jpeg" if media == "image/jpg" else media
    if media in _IMAGES:
        return {"type": "image", "source": {"type": "base64", "media_type": media, "data": data}}
    if media == "application/pdf":
        return _document({"type": "base64", "media_type": media, "data": data}, title)
    if media == "text/plain":
        return _document({"type": "text", "media_type": media, "data": _plain_text(data, path)}, title)
    msg = f"{path_text(path)} is of type {media!r}; Anthropic takes jpeg, png, gif and webp images, pdf and plain text"
    raise InvalidRequestError(msg)


def _document(source: Block, title: Any) -> Block:
    block = {"type": "document", "source": source}
    return {**block, "title": title} if title else block


def _plain_text(data: str, path: Path) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        msg = f"{path_text(path)} is not UTF-8 text in base64"
        raise InvalidRequestError(msg) from exc
