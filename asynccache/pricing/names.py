"""How a model may be spelled: prefixes, regions and dates taken off until a name of the book is left."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FREE", "BedrockName", "bedrock_name", "spellings"]

_GEOGRAPHIES: Final = (
    "us-gov", "us", "eu", "apac", "ap", "jp", "au", "ca", "sa", "af", "me", "il", "in", "global",
)  # fmt: skip
_BEDROCK: Final = re.compile(
    r"(?:(?P<geo>" + "|".join(_GEOGRAPHIES) + r")\.)?(?P<base>[a-z0-9]+\.[a-z0-9].*)"
)
_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]*):(?P<account>\d*):(?P<kind>[a-z-]+)/(?P<name>.+)"
)
_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+")

# Taken off the end, one after the other, most telling first.
_ENDINGS: Final = (
    re.compile(r"\[\w+\]$"),  # claude-opus-4-6[1m]: the window that is asked for
    re.compile(r":\d+k$"),
    re.compile(r"(?:-v\d+)?:\d+$"),
    re.compile(r"-v\d+$"),
    re.compile(r"@(?:\d{8}|latest|default)$"),
    re.compile(r"-(?:20\d{2}-\d{2}-\d{2}|20\d{6})$"),
    re.compile(r"-preview-\d{2}-(?:\d{2}|\d{4})$"),
    re.compile(r"-00\d$"),
    re.compile(r"-latest$"),
    re.compile(r":(?:exacto|nitro|floor|online|beta)$"),
)


FREE: Final = "*:free"
"""The row for every model's free variant, where a provider has such."""


class BedrockName(NamedTuple):
    """A Bedrock id taken apart."""

    base: str
    """Without region and profile: ``anthropic.claude-sonnet-4-5-20250929-v1:0``."""
    region: str
    """The geography of the profile, ``global``, an AWS region, or "" where the id names none."""
    opaque: bool = False
    """An application profile, a provisioned or imported model: its name says nothing of the model behind it."""


def bedrock_name(model: str) -> BedrockName:
    """Takes routes, ARNs and profile prefixes off a Bedrock id."""
    region = ""
    if arn := _ARN.fullmatch(model):
        if arn["kind"] not in ("inference-profile", "foundation-model"):
            return BedrockName(model, arn["region"], opaque=True)
        model = arn["name"]
        # A foundation model by ARN runs in that very region; a profile says its own geography.
        region = arn["region"] if arn["kind"] == "foundation-model" else ""
    *path, model = model.split("/")
    region = next((step for step in path if _REGION.fullmatch(step)), region)
    match = _BEDROCK.fullmatch(model)
    if match is None:
        return BedrockName(model, region)
    return BedrockName(match["base"], match["geo"] or region)


def spellings(name: str) -> Iterator[str]:
    """*name*, then what is left of it as dates, versions and variants come off, each also with dashes for dots."""
    seen: set[str] = set()
    for plain in _shorter(name.lower()):
        for spelled in (plain, _dashed(plain), _dotted(plain), _family_last(plain)):
            if spelled not in seen:
                seen.add(spelled)
                yield spelled


def _shorter(name: str) -> Iterator[str]:
    yield name
    if name.startswith("ft:"):
        # ft:<base model>:<organisation>:<suffix>:<id> costs what every fine-tune of its base costs.
        name = ":".join(name.split(":", 2)[:2])
        yield name
    if name.endswith(":free"):
        yield FREE
        return
    for ending in _ENDINGS:
        shorter = ending.sub("", name)
        if shorter != name and shorter:
            name = shorter
            yield name


def _dashed(name: str) -> str:
    """``claude-haiku-4.5`` as ``claude-haiku-4-5``; dots between words are Bedrock's and stay."""
    return re.sub(r"(?<=\d)\.(?=\d)", "-", name)


def _dotted(name: str) -> str:
    """``gpt-5-2-mini`` as ``gpt-5.2-mini``."""
    return re.sub(r"(?<=-\d)-(?=\d(?:-|$))", ".", name)


def _family_last(name: str) -> str:
    """``claude-4.5-haiku`` as ``claude-haiku-4-5``."""
    match = re.fullmatch(r"claude-(\d+)[.-]?(\d*)-(opus|sonnet|haiku|fable|mythos)", name)
    if match is None:
        return name
    return f"claude-{match[3]}-{match[1]}" + (f"-{match[2]}" if match[2] else "")
