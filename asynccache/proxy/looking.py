"""``/metrics``, ``/ui`` and ``/ui/link``: for who runs the proxy alone, by the master key or a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from asynccache.errors import APIStatusError, PermissionDeniedError
from asynccache.proxy.asked import read_asked
from asynccache.proxy.page import page, page_headers
from asynccache.proxy.telling import id_headers
from asynccache.proxy.virtual_keys import MASTER

if TYPE_CHECKING:
    from asynccache.proxy.activity import Activity
    from asynccache.proxy.speaking import Call

__all__ = [
    "LINK_PATH",
    "check_looker",
    "holds_pass",
    "link_to_page",
    "show_link",
    "show_metrics",
    "show_page",
]

LINK_PATH = "/ui?once="


def holds_pass(call: Call, query: str) -> bool:
    """Whether the address holds a pass, or a link that is worth one."""
    asked = read_asked(query)
    passes = call.served.activity.passes
    if asked.once is not None:
        call.passed = passes.exchange(asked.once)
        return call.passed is not None
    return asked.held is not None and passes.holds(asked.held)


def check_looker(call: Call) -> None:
    """Let who runs the proxy pass.

    Raises:
        PermissionDeniedError: it is a caller with a key of their own.
    """
    if call.key is not None and call.key.id != MASTER:
        msg = "this is for the master key alone"
        error: APIStatusError = PermissionDeniedError(msg, status_code=403, code="master_key_needed")
        call.served.gate.tell_refusal(call.key, error)
        raise error


def show_page(call: Call, query: str) -> web.Response:
    """The page; for a link that works once, the way to the page with a pass in its address."""
    headers = {**id_headers(call.id), **page_headers()}
    asked = read_asked(query)
    if call.passed is not None:
        return web.Response(status=303, headers={**headers, "location": f"/ui?pass={call.passed}"})
    base = f"{call.request.scheme}://{call.request.headers.get('host', '')}"
    body = page(call.served.activity, asked, base)
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)


def show_link(call: Call, _query: str) -> web.Response:
    """A link to the page that works once; the audit log is told that there is one."""
    body = f"{link_to_page(call.served.activity)}\n"
    audit = call.served.gate.audit
    if audit is not None:
        audit.tell("page_link", key=None if call.key is None else call.key.id)
    headers = {**id_headers(call.id), "cache-control": "no-store"}
    return web.Response(text=body, content_type="text/plain", headers=headers)


def link_to_page(activity: Activity) -> str:
    """The path of a new one."""
    return LINK_PATH + activity.passes.link()


def show_metrics(call: Call, _query: str) -> web.Response:
    """What Prometheus reads.

    Raises:
        APIStatusError: prometheus-client is not installed.
    """
    try:
        from asynccache.proxy.metrics import metrics
    except ImportError as exc:
        msg = "metrics need prometheus-client: pip install 'asynccache[proxy]'"
        raise APIStatusError(msg, status_code=501, code="not_installed") from exc
    body = metrics(call.served.activity, call.served.ledger)
    headers = {**id_headers(call.id), "content-type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=body, headers={**headers, "cache-control": "no-store"})
