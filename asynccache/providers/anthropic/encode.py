"""A request as the body of a POST to Anthropic's Messages API, its cache marks in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynccache.errors import InvalidRequestError
from asynccache.providers.anthropic.content import with_mark
from asynccache.providers.anthropic.conversation import Marks, system_and_messages
from asynccache.providers.anthropic.params import body_params
from asynccache.providers.anthropic.rules import facts_of
from asynccache.providers.anthropic.tools import tool_definition

if TYPE_CHECKING:
    from asynccache.request import Request

__all__ = ["encode_body"]


def encode_body(request: Request) -> dict[str, Any]:
    """The body without ``model``, ``stream`` and what ``extra_body`` adds: these differ from host to host.

    The caller's own objects stand in it wherever they can; none of them is changed.

    Raises:
        InvalidRequestError: a message, a tool or a value that Anthropic's format cannot say.
    """
    marks = Marks(request.marks)
    body: dict[str, Any] = body_params(request, facts_of(request.model_id))
    if request.tools:
        body["tools"] = [
            with_mark(tool_definition(tool), marks.take("tools", place))
            for place, tool in enumerate(request.tools)
        ]
    system, messages = system_and_messages(request.messages, marks)
    if system is not None:
        body["system"] = system
    if not messages:
        msg = "messages holds nothing but system messages; Anthropic wants a user message"
        raise InvalidRequestError(msg)
    body["messages"] = messages
    automatic = marks.take()
    if automatic is not None:
        body["cache_control"] = automatic
    marks.check_all_taken()
    return body
