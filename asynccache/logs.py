"""What goes to the log: the raw request on demand, never a key."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from asynccache.secret import is_secret_header, redact, redact_headers

if TYPE_CHECKING:
    from asynccache.secret import Secret

__all__ = ["heed_environment", "log_request", "logger", "wants_requests"]

logger: logging.Logger = logging.getLogger("asynccache")
logger.addHandler(logging.NullHandler())

_MAX_BODY = 20_000  # characters of a body shown in the log


def wants_requests() -> bool:
    """Whether raw requests are shown: ``asynccache.set_verbose = True``, ``ASYNCCACHE_LOG=debug``, or DEBUG."""
    if getattr(sys.modules.get("asynccache"), "set_verbose", False):
        _show_on_stderr()
    return logger.isEnabledFor(logging.DEBUG)


def heed_environment() -> None:
    """Do as ``ASYNCCACHE_LOG`` says; asked once a client, as a variable that is not set takes long to look up."""
    if os.environ.get("ASYNCCACHE_LOG", "").lower() == "debug":
        _show_on_stderr()


def _show_on_stderr() -> None:
    """Make DEBUG visible where the program has not set logging up itself."""
    if not logger.isEnabledFor(logging.DEBUG):
        logger.setLevel(logging.DEBUG)
    if not logging.getLogger().handlers and len(logger.handlers) == 1:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger.addHandler(handler)


def log_request(url: str, headers: dict[str, str], body: bytes, *secrets: Secret | str | None) -> None:
    """One DEBUG line with the request as it goes out, keys hidden."""
    carried = (value.removeprefix("Bearer ") for name, value in headers.items() if is_secret_header(name))
    text = body[:_MAX_BODY].decode("utf-8", "replace")
    more = f" … {len(body) - _MAX_BODY} bytes more" if len(body) > _MAX_BODY else ""
    logger.debug("POST %s %s %s%s", url, redact_headers(headers), redact(text, *secrets, *carried), more)
