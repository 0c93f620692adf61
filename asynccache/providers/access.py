"""Where a provider is reached and with which key: the caller's arguments, else the environment."""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asynccache.errors import InvalidRequestError, MissingAPIKeyError
from asynccache.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asynccache.request import Request

__all__ = ["find_base", "find_key", "is_loopback"]


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
    parts = urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"{where}={base!r} is not an address; it looks like 'https://host/v1'"
        raise InvalidRequestError(msg, provider=request.provider, model=request.model)
    if parts.username is not None or parts.password is not None:
        msg = f"{where} holds a user name or password; pass api_key= instead"
        raise InvalidRequestError(msg, provider=request.provider, model=request.model)
    return base.rstrip("/")


def find_key(request: Request, variables: Sequence[str], base: str) -> Secret:
    """The key: the caller's, else of the first variable set. An empty one is allowed on loopback only.

    Raises:
        MissingAPIKeyError: there is none; the message names the variable.
    """
    key = request.reach.api_key
    if key is None:
        value = next((value for name in variables if (value := os.environ.get(name)) is not None), None)
        key = None if value is None else Secret(value.strip())
    if key or (key is not None and is_loopback(base)):
        _check_key(key, request)
        return key
    missing = "is empty" if key is not None else "is missing"
    msg = f"the key for {request.provider!r} {missing}: set {variables[0]} or pass api_key="
    raise MissingAPIKeyError(msg, provider=request.provider, model=request.model)


def _check_key(key: Secret, request: Request) -> None:
    if not key.reveal().isprintable() or not key.reveal().isascii():
        msg = f"the key for {request.provider!r} holds a character that no header can carry; copy it again"
        raise MissingAPIKeyError(msg, provider=request.provider, model=request.model)


def is_loopback(base: str) -> bool:
    """Whether *base* is an address of this machine alone."""
    host = urlsplit(base).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
