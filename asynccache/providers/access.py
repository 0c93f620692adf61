"""Where a provider is reached and with which key: the caller's arguments, else the environment."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asynccache.errors import InvalidRequestError, MissingAPIKeyError
from asynccache.secret import Secret, is_secret_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from asynccache.request import Request

__all__ = ["caller_headers", "find_base", "find_key", "host_of", "is_loopback", "is_on", "secrets_of"]

_SECRET_VARIABLE = re.compile("(?:API_KEY|TOKEN|TOKEN_BEDROCK|SECRET_ACCESS_KEY|ACCESS_KEY_ID)$")
_LEAST_SECRET = 8  # characters; what is shorter, or of letters alone, is more likely a word than a key


def find_base(request: Request, variables: Sequence[str], default: str) -> str:
    """The base address without a slash at its end: the caller's, else of the first variable set, else *default*.

    Raises:
        InvalidRequestError: it is not an http or https address.
    """
    base = request.reach.api_base
    where = "api_base"
    if not base:
        where, base = next(
            ((name, value) for name in variables if (value := os.environ.get(name))), ("", default)
        )
    wrong = _fault_of(base)
    if wrong:
        raise InvalidRequestError(f"{where}{wrong}", provider=request.provider, model=request.model)
    return base.rstrip("/")


@lru_cache(maxsize=64)
def host_of(base: str) -> str:
    """The host that *base* names, "" if it names none."""
    return urlsplit(base).hostname or ""


@lru_cache(maxsize=64)
def is_on(address: str, hosts: tuple[str, ...]) -> bool:
    """Whether *address* is on one of *hosts*, or on a host below one."""
    host = host_of(address)
    return any(host == own or host.endswith("." + own) for own in hosts)


@lru_cache(maxsize=64)
def _fault_of(base: str) -> str:
    """What is wrong with an address, as the end of a sentence; "" if nothing is."""
    parts = urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return f"={base!r} is not an address; it looks like 'https://host/v1'"
    if parts.username is not None or parts.password is not None:
        return " holds a user name or password; pass api_key= instead"
    return ""


def find_key(request: Request, variables: Sequence[str], base: str) -> Secret:
    """The key: the caller's, else of the first variable set. An empty one is allowed on loopback only.

    Raises:
        MissingAPIKeyError: there is none; the message names the variable.
    """
    key = request.reach.api_key
    if key is None:
        told = next((told for name in variables if (told := os.environ.get(name)) is not None), None)
        key = None if told is None else Secret(told.strip())
    value = "" if key is None else key.reveal()
    if key is not None and (value or is_loopback(base)):
        if not value.isprintable() or not value.isascii():
            msg = (
                f"the key for {request.provider!r} holds a character that no header can carry; copy it again"
            )
            raise MissingAPIKeyError(msg, provider=request.provider, model=request.model)
        return key
    missing = "is empty" if key is not None else "is missing"
    msg = f"the key for {request.provider!r} {missing}: set {variables[0]} or pass api_key="
    raise MissingAPIKeyError(msg, provider=request.provider, model=request.model)


@lru_cache(maxsize=64)
def is_loopback(base: str) -> bool:
    """Whether *base* is an address of this machine alone."""
    host = host_of(base)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def caller_headers(request: Request) -> Mapping[str, str]:
    """The caller's own headers; those with a credential only where they were given for this provider."""
    headers = request.extra_headers
    if not headers or request.access is None or request.reach is request.access:
        return headers
    return {name: value for name, value in headers.items() if not is_secret_header(name)}


def secrets_of(request: Request) -> Iterator[Secret | str]:
    """Every key that the request was given or may have found in the environment, to be hidden."""
    reach = request.access
    if reach is not None:
        if reach.api_key is not None:
            yield reach.api_key
        yield from (value for value in reach.options.values() if type(value) is Secret)
    for name, value in request.extra_headers.items():
        if is_secret_header(name):
            yield value.removeprefix("Bearer ")
    for name, value in os.environ.items():
        if len(value) >= _LEAST_SECRET and not value.isalpha() and _SECRET_VARIABLE.search(name):
            yield value
