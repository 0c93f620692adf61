"""A usage object whose dialect nobody named is read by the one that its own fields show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from asynccache.errors import InvalidRequestError
from asynccache.reply import Usage
from asynccache.usage.fields import SIGNS
from asynccache.usage.reading import read_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["recognized_usage"]


def recognized_usage(told: Mapping[str, Any]) -> Usage:
    """The usage that *told* is: ours as JSON, or any provider's own object.

    Raises:
        InvalidRequestError: no known provider counts tokens in such fields.
    """
    if "source" in told and "prompt_tokens_details" in told:
        try:
            return msgspec.convert(told, Usage, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidRequestError(f"the usage is not one of ours: {error}") from error
    dialect = next((dialect for field, dialect in SIGNS if told.get(field) is not None), None)
    if dialect is None:
        fields = ", ".join(sorted(map(str, told))[:8]) or "none"
        raise InvalidRequestError(
            f"the usage holds no token counts that any known provider spells like this; its fields: {fields}"
        )
    return read_usage(told, dialect)
