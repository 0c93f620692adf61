"""The door of the simulator: who asks, what may be logged of it, and the body decoded."""

from __future__ import annotations

from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import orjson

from .loose import obj
from .wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_KEY_HEADERS = ("x-api-key", "api-key", "authorization")
_SECRET = (*_KEY_HEADERS, "cookie", "x-amz-security-token", "proxy-authorization")
_REFUSED_KEYS = ("invalid", "bad")
_UNKNOWN_MODELS = ("nonexistent", "not-found")
_UNREADABLE: Final = (
    ArithmeticError,  # an endless number where a count should be
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""How Python says that a value is of another kind, or that a field is missing."""


def logged_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers as the log may keep them: no key, only a digest of it."""
    return {
        name.lower(): f"sha256:{_digest(value)}" if name.lower() in _SECRET else value
        for name, value in headers.items()
    }


def owner(headers: Mapping[str, str]) -> str:
    """A digest of the key, by which caches are parted; an empty key is a key, no header is none.

    Raises:
        Refusal: 401, for a key that begins with `invalid` or `bad`, or where no header carries one.
    """
    for name in _KEY_HEADERS:
        value = headers.get(name)
        if value is None:
            continue
        key = value.strip()
        if name == "authorization":
            key = key[len("bearer") :].strip() if key.lower().startswith("bearer") else key
        if key.lower().startswith(_REFUSED_KEYS):
            raise Refusal(
                401, f"Incorrect API key provided: {key[:3]}***. The simulator refuses keys of that name."
            )
        return _digest(key)
    raise Refusal(401, "You didn't provide an API key: send `Authorization: Bearer KEY` or `x-api-key: KEY`.")


def decoded(raw: bytes) -> dict[str, Any]:
    """The JSON object in a request's body.

    Raises:
        Refusal: 400, where there is none.
    """
    try:
        body: Any = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"We could not parse the JSON body of your request: {error}") from error
    if type(body) is not dict:
        raise Refusal(400, f"The request body must be a JSON object, not {type(body).__name__}.")
    return obj(body)


@contextmanager
def refusing_the_unreadable() -> Generator[None]:
    """Where a body is read, and nothing else is done: what stands in it and cannot be read is the caller's fault.

    Raises:
        Refusal: 400, as a provider says of a field or a schema of another kind.
    """
    try:
        yield
    except _UNREADABLE as error:
        told = f"The request cannot be read: {type(error).__name__}: {error}"
        raise Refusal(400, told) from error


def check_model(model: str) -> None:
    """Some names no provider knows: those with `nonexistent` or `not-found` in them."""
    if any(word in model for word in _UNKNOWN_MODELS):
        raise Refusal(404, f"The model `{model}` does not exist or you do not have access to it.")


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()[:12]
