"""One content part of a message → one Converse block: text, images, documents, video, audio, reasoning.

Converse takes bytes (as base64) or an S3 object, never a web address. Fetching one is the caller's business:
the error says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from asynccache.errors import InvalidRequestError
from asynccache.request import Path, path_text
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Block", "content_blocks", "reasoning_blocks", "text_block"]

Block: TypeAlias = dict[str, Any]

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
_NATIVE = frozenset(
    {
        "text",
        "image",
        "document",
        "video",
        "audio",
        "toolUse",
        "toolResult",
        "guardContent",
        "cachePoint",
        "reasoningContent",
        "citationsContent",
        "searchResult",
    }
)

# Media types and file endings to the block and the format that say them.
_FORMATS: dict[str, tuple[str, str]] = {
    "image/png": ("image", "png"),
    "image/jpeg": ("image", "jpeg"),
    "image/jpg": ("image", "jpeg"),
    "image/gif": ("image", "gif"),
    "image/webp": ("image", "webp"),
    "application/pdf": ("document", "pdf"),
    "text/csv": ("document", "csv"),
    "text/html": ("document", "html"),
    "text/plain": ("document", "txt"),
    "text/markdown": ("document", "md"),
    "application/msword": ("document", "doc"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("document", "docx"),
    "application/vnd.ms-excel": ("document", "xls"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ("document", "xlsx"),
    "video/mp4": ("video", "mp4"),
    "video/webm": ("video", "webm"),
    "video/quicktime": ("video", "mov"),
    "video/x-matroska": ("video", "mkv"),
    "video/mpeg": ("video", "mpeg"),
    "video/x-flv": ("video", "flv"),
    "video/3gpp": ("video", "three_gp"),
    "audio/mpeg": ("audio", "mp3"),
    "audio/wav": ("audio", "wav"),
    "audio/flac": ("audio", "flac"),
    "audio/ogg": ("audio", "ogg"),
    "audio/mp4": ("audio", "mp4"),
}
_ENDINGS = {"jpg": "jpeg", "markdown": "md", "htm": "html", "text": "txt"}
_BY_ENDING = {form: (kind, form) for kind, form in _FORMATS.values()}

_DATA_URL = re.compile(r"^data:([^;,]*)(?:;[^;,]*)*;base64,", re.IGNORECASE)
# A document's name may hold letters, digits, single spaces, hyphens, round and square brackets.
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9\-()\[\]]+")


def content_blocks(content: Any, path: Path) -> list[tuple[Path, Block]]:
    """The blocks of a message's content, each with the path of the part it came from; blank text is left out.

    Raises:
        InvalidRequestError: a part that Converse cannot say.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [((*path, "content", 0), {"text": content})] if content.strip() else []
    blocks: list[tuple[Path, Block]] = []
    for index, part in enumerate(content):
        where = (*path, "content", index)
        block = _block(part, where)
        if block is not None:
            blocks.append((where, block))
    return blocks


def text_block(text: Any, path: Path) -> Block | None:
    """The block of a text; None when it is blank, which Bedrock refuses."""
    if not isinstance(text, str):
        raise InvalidRequestError(f"{path_text(path)}: text is {type(text).__name__}, not a string")
    return {"text": text} if text.strip() else None


def reasoning_blocks(message: Mapping[str, Any]) -> list[Block]:
    """An assistant message's signed thinking, as it must be sent back: unchanged and first.

    Thinking without a signature is left out: no model takes it back.
    """
    blocks: list[Block] = []
    for block in message.get("thinking_blocks") or ():
        made = _thinking(block, ()) if block.get("type") == "thinking" else _redacted(block, ())
        if made is not None:
            blocks.append(made)
    return blocks


def _block(part: Any, path: Path) -> Block | None:
    if isinstance(part, str):
        return text_block(part, path)
    if not is_object(part):
        raise InvalidRequestError(f"{path_text(path)} is {type(part).__name__}; a content part is an object")
    kind = part.get("type")
    if kind is None and len(part) == 1 and next(iter(part)) in _NATIVE:
        return dict(part)  # Converse's own block, as it is
    make = _PARTS.get(str(kind))
    if make is None:
        known = ", ".join(sorted(_PARTS))
        raise InvalidRequestError(
            f"{path_text(path)}: Converse cannot say a part of type {kind!r}; it takes {known}"
        )
    return make(part, path)


def _text(part: Mapping[str, Any], path: Path) -> Block | None:
    return text_block(part.get("text"), path)


def _refusal(part: Mapping[str, Any], path: Path) -> Block | None:
    return text_block(part.get("refusal"), path)


def _guarded(part: Mapping[str, Any], path: Path) -> Block | None:
    text = text_block(part.get("text"), path)
    return None if text is None else {"guardContent": {"text": text}}


def _image_url(part: Mapping[str, Any], path: Path) -> Block:
    image = part.get("image_url")
    url = image.get("url") if is_object(image) else image
    return _from_url(url, path, name="image", given=None)


def _video_url(part: Mapping[str, Any], path: Path) -> Block:
    video = part.get("video_url")
    url = video.get("url") if is_object(video) else video
    return _from_url(url, path, name="video", given=None)


def _file(part: Mapping[str, Any], path: Path) -> Block:
    file = part.get("file")
    if not is_object(file):
        raise InvalidRequestError(f"{path_text(path)}: a part of type 'file' has its data under 'file'")
    if file.get("file_id") and not file.get("file_data"):
        raise InvalidRequestError(
            f"{path_text(path)}: Bedrock knows no file ids; pass file.file_data as a data: URL"
        )
    name = str(file.get("filename") or "document")
    return _from_url(file.get("file_data"), path, name=name, given=file.get("format"))


def _audio(part: Mapping[str, Any], path: Path) -> Block:
    audio = part.get("input_audio")
    if not is_object(audio) or not audio.get("data"):
        raise InvalidRequestError(f"{path_text(path)}: a part of type 'input_audio' has data and format")
    return {"audio": {"format": str(audio.get("format") or "wav"), "source": {"bytes": audio["data"]}}}


def _source(part: Mapping[str, Any], path: Path) -> Block:
    """Anthropic's image and document parts."""
    source = part.get("source")
    if not is_object(source):
        raise InvalidRequestError(f"{path_text(path)}: a part of type {part.get('type')!r} has a source")
    name = str(part.get("title") or "document")
    if source.get("type") == "text":
        return {"document": {"format": "txt", "name": _name(name), "source": {"text": source.get("data")}}}
    if source.get("type") == "base64":
        return _media(str(source.get("media_type")), {"bytes": source.get("data")}, path, name=name)
    return _from_url(source.get("url"), path, name=name, given=None)


def _thinking(part: Mapping[str, Any], _path: Path) -> Block | None:
    signature = part.get("signature")
    if not signature:
        return None
    return {
        "reasoningContent": {"reasoningText": {"text": part.get("thinking") or "", "signature": signature}}
    }


def _redacted(part: Mapping[str, Any], _path: Path) -> Block | None:
    data = part.get("data")
    return {"reasoningContent": {"redactedContent": data}} if data else None


_PARTS: dict[str, Callable[[Mapping[str, Any], Path], Block | None]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "refusal": _refusal,
    "guarded_text": _guarded,
    "image_url": _image_url,
    "video_url": _video_url,
    "file": _file,
    "input_audio": _audio,
    "image": _source,
    "document": _source,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


def _from_url(url: Any, path: Path, *, name: str, given: Any) -> Block:
    if not isinstance(url, str) or not url:
        raise InvalidRequestError(f"{path_text(path)} has no data; pass a data: URL with base64, or s3://…")
    data = _DATA_URL.match(url)
    if data is not None:
        return _media(
            str(given or data.group(1) or "text/plain"), {"bytes": url[data.end() :]}, path, name=name
        )
    if url.startswith("s3://"):
        ending = url.rpartition(".")[2].lower()
        return _media(str(given or ending), {"s3Location": {"uri": url}}, path, name=name)
    shown = url[:60]
    raise InvalidRequestError(
        f"{path_text(path)}: Bedrock fetches no addresses: {shown!r}; pass a data: URL with base64, or s3://…, or put InlineURLs() among the client's stages"
    )


def _media(media_type: str, source: Block, path: Path, *, name: str) -> Block:
    wanted = media_type.lower()
    found = _FORMATS.get(wanted) or _BY_ENDING.get(_ENDINGS.get(wanted, wanted))
    if found is None:
        known = ", ".join(_FORMATS)
        raise InvalidRequestError(f"{path_text(path)}: Converse takes no {media_type!r}; it takes {known}")
    kind, form = found
    if kind == "document":
        return {kind: {"format": form, "name": _name(name), "source": source}}
    return {kind: {"format": form, "source": source}}


def _name(name: str) -> str:
    """*name* in the letters that a document's name may have; the same for the same file, so that prefixes stay."""
    stem = name.rpartition(".")[0] or name
    return _NOT_IN_NAMES.sub(" ", stem).strip()[:200] or "document"
