"""A key that no print, log or pickle shows, and the redactor that takes keys out of foreign text."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn, final

__all__ = ["Secret", "is_secret_header", "redact", "redact_headers"]

_HIDDEN = "***"
# The shapes of keys that providers hand out; a text from outside may quote one that is not ours.
_KEY_SHAPES = re.compile(
    r"(?:sk|pk|rk|ac|xai|gsk)[-_][A-Za-z0-9_\-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|AIza[A-Za-z0-9_\-]{20,}|ABSK[A-Za-z0-9+/=]{16,}"
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=\-]{8,}"
)
_SHORTEST = 4  # a shorter "key" would blot out ordinary words


@final
class Secret:
    """A string that only `reveal` shows: repr, str, format and pickle do not."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself; hand it to the wire and to nothing else."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return type(other) is Secret and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN!r})"

    def __str__(self) -> str:
        return _HIDDEN

    def __format__(self, spec: str) -> str:
        return format(_HIDDEN, spec)

    def __reduce__(self) -> NoReturn:
        msg = "a Secret cannot be pickled; pass the key's name and read it where it is used"
        raise TypeError(msg)


def redact(text: str, *secrets: Secret | str | None) -> str:
    """*text* without the given secrets, in any spelling JSON gives them, and without anything key-shaped."""
    for secret in secrets:
        value = secret.reveal() if type(secret) is Secret else secret
        if isinstance(value, str) and len(value) >= _SHORTEST:
            for spelling in {value, value.replace("/", "\\/"), json.dumps(value)[1:-1]}:
                text = text.replace(spelling, _HIDDEN)
    return _KEY_SHAPES.sub(_HIDDEN, text)


def is_secret_header(name: str) -> bool:
    """Whether the header *name* carries a credential, as far as its name tells."""
    return _SECRET_HEADERS.search(name) is not None


def redact_headers(headers: dict[str, str]) -> dict[str, Any]:
    """*headers* for a log line: every value that carries a credential is hidden."""
    return {name: _HIDDEN if is_secret_header(name) else redact(value) for name, value in headers.items()}


_SECRET_HEADERS = re.compile("auth|key|token|secret|cookie|credential|password", re.IGNORECASE)
