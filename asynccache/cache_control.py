"""Stage: the caller's cache marks become a plan for the provider that is really asked, and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from asynccache.cache_injection import injected_wishes, write_inline
from asynccache.cache_marks import (
    BREAKPOINT,
    CONTROL,
    breakpoints_in,
    find_touched,
    marks_in,
    marks_on_tools,
    read_control,
    without_marks,
    without_tool_marks,
)
from asynccache.cache_plan import SYSTEM, Wish, plan_marks
from asynccache.errors import InvalidRequestError
from asynccache.looks import Looked, find_others
from asynccache.providers.registry import get
from asynccache.reply import CacheNote, CacheReport
from asynccache.request import path_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asynccache.cache_marks import Written
    from asynccache.cache_plan import Message
    from asynccache.events import Event
    from asynccache.pipeline import CallNext
    from asynccache.providers.base import CacheRules
    from asynccache.request import Mark, Path, Request
    from asynccache.stream import Stream

__all__ = ["apply_cache_rules", "translate_cache_control"]

_ENABLE = "enable_prompt_caching"  # LiteLLM's word for marks on the system prompt and the last message
_OPENAI_PARAMS = ("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options")
_CACHING = frozenset({_ENABLE, *_OPENAI_PARAMS})
_USERS = frozenset({"user", "tool", "function"})
_MID_SYSTEM = "this model takes no system message here: it goes out in place as the user's text"


async def translate_cache_control(request: Request, call_next: CallNext) -> Stream[Event]:
    """Plan the marks of *request* by its provider's rules; the answer's head says what became of them."""
    planned = apply_cache_rules(request, get(request.provider).cache_rules(request))
    stream = await call_next(planned)
    if planned.notes:
        stream.head = msgspec.structs.replace(stream.head, cache_report=CacheReport(planned.notes))
    return stream


def apply_cache_rules(request: Request, rules: CacheRules) -> Request:
    """*request* with ``marks`` and ``notes`` as *rules* have it, and without the caller's own spellings.

    Messages and tools that hold no mark stay the caller's own objects, and no content is copied.

    Raises:
        InvalidRequestError: what should be a mark is none; the message names its path.
    """
    others = find_others(request.messages)
    holding, late_systems = find_touched(request.messages, others)
    on_tools = list(marks_on_tools(request.tools)) if request.tools else []
    is_plain = not (holding or late_systems or on_tools or request.marks)
    if is_plain and not _asks_besides(request):
        return request

    late_systems = [index for index in late_systems if not _may_stay(index, request.messages, rules)]
    messages = _with_user_text(request.messages, late_systems)
    in_messages = [mark for index in holding for mark in marks_in(request.messages[index], index)]
    written = [mark for mark in (*on_tools, *in_messages) if mark.control is not None]
    notes = [_system_note(index) for index in late_systems]
    params = _read_params(request, rules, notes)

    if rules.style == "kept" or (request.keep_cache_control and rules.style != "blocks"):
        return _keep(request, written, messages, params, notes)

    wishes = [_wish(mark, late_systems) for mark in written]
    wishes += [_wish_again(mark, request) for mark in request.marks]
    wishes += injected_wishes(_points(request), request, notes, newest=rules.max_marks)
    if request.cache_control is not None:
        wishes.append(Wish(CONTROL, (), *read_control(request.cache_control, CONTROL)))
    messages = Looked(_clean(messages, holding, rules), others)
    if BREAKPOINT not in rules.params:
        notes += [
            _breakpoint_note(path, rules)
            for index in holding
            for path in breakpoints_in(request.messages[index], index)
        ]
    if rules.style == "none":
        marks: tuple[Any, ...] = ()
        notes += [CacheNote(path=wish.source, action="dropped", reason=rules.reason) for wish in wishes]
    else:
        marks, planned = plan_marks(wishes, messages, rules)
        notes += planned
    return msgspec.structs.replace(
        request,
        messages=messages,
        tools=without_tool_marks(request.tools) if on_tools and request.tools else request.tools,
        params=params,
        marks=marks,
        notes=(*request.notes, *notes),
        cache_control=None,
        cache_control_injection_points=None,
    )


def _asks_besides(request: Request) -> bool:
    """Whether anything but messages and tools asks for caching."""
    return (
        request.cache_control is not None
        or bool(request.cache_control_injection_points)
        or not _CACHING.isdisjoint(request.params)
    )


def _wish(mark: Written, rewritten: Sequence[int]) -> Wish:
    ttl, remark = read_control(mark.control, path_text((*mark.source, CONTROL)))
    at = mark.at
    if at[0] == "messages" and at[1] in rewritten:
        at = at[:2]  # it is one text now
    return Wish(path_text(mark.source), at, ttl, remark)


def _wish_again(mark: Mark, request: Request) -> Wish:
    """A mark that a stage outside has set already."""
    where, *within = mark.path or (CONTROL,)
    holders = {"messages": request.messages, "tools": request.tools or ()}.get(str(where), ())
    if mark.path and not (within and 0 <= int(within[0]) < len(holders)):
        msg = f"no cache mark can stand at {path_text(mark.path)}; a path looks like ('messages', 0)"
        raise InvalidRequestError(msg)
    return Wish(path_text(mark.path), mark.path, mark.ttl)


def _points(request: Request) -> Sequence[tuple[str, Any]]:
    """The injection points with the place where each was asked for."""
    given = request.cache_control_injection_points or ()
    points = [(f"cache_control_injection_points[{number}]", point) for number, point in enumerate(given)]
    if request.params.get(_ENABLE):
        roles = [message.get("role") for message in request.messages]
        systems = [index for index, role in enumerate(roles) if role in SYSTEM]
        points += [(_ENABLE, {"location": "message", "index": index}) for index in (*systems[-1:], -1)]
    return points


def _read_params(request: Request, rules: CacheRules, notes: list[CacheNote]) -> Mapping[str, Any]:
    """The parameters that may go on; those of caching that may not are reported."""
    dropped = [name for name in _OPENAI_PARAMS if name in request.params and name not in rules.params]
    reason = rules.reason or f"{request.provider} has no such parameter"
    notes += [CacheNote(path=name, action="dropped", reason=reason) for name in dropped]
    if not dropped and _ENABLE not in request.params:
        return request.params
    return {name: value for name, value in request.params.items() if name not in (*dropped, _ENABLE)}


def _clean(messages: Sequence[Message], holding: Sequence[int], rules: CacheRules) -> Sequence[Message]:
    """*messages* without the caller's marks; OpenAI's own stay where the provider takes them."""
    if not holding:
        return messages
    clean = list(messages)
    for index in holding:
        clean[index] = without_marks(clean[index], breakpoints=BREAKPOINT not in rules.params)
    return clean


def _breakpoint_note(path: Path, rules: CacheRules) -> CacheNote:
    reason = rules.reason or f"this provider has no {BREAKPOINT}; use {CONTROL}"
    return CacheNote(path=path_text(path), action="dropped", reason=reason)


def _keep(
    request: Request,
    written: Sequence[Written],
    messages: Sequence[Message],
    params: Mapping[str, Any],
    notes: list[CacheNote],
) -> Request:
    """*request* with every mark as the caller wrote it, and the asked ones written in the same spelling."""
    for mark in written:
        path = path_text(mark.source)
        notes.append(CacheNote(path=path, action="sent", sent_to=path))
    wishes = injected_wishes(_points(request), request, notes, newest=4)
    messages, tools = write_inline(wishes, messages, request.tools, notes)
    if request.cache_control is not None:
        params = {**params, CONTROL: request.cache_control}
        notes.append(CacheNote(path=CONTROL, action="sent", sent_to=CONTROL))
    return msgspec.structs.replace(
        request,
        messages=messages,
        tools=tools,
        params=params,
        marks=(),
        notes=(*request.notes, *notes),
        cache_control=None,
        cache_control_injection_points=None,
    )


def _may_stay(index: int, messages: Sequence[Message], rules: CacheRules) -> bool:
    """Whether the system message at *index*, behind the leading ones, is one that the model takes."""
    if not rules.mid_system:
        return False
    if not rules.strict_mid_system:
        return True
    follower = messages[index + 1].get("role") if index + 1 < len(messages) else "assistant"
    return messages[index - 1].get("role") in _USERS and follower == "assistant"


def _with_user_text(messages: Sequence[Message], indexes: Sequence[int]) -> Sequence[Message]:
    if not indexes:
        return messages
    rewritten = list(messages)
    for index in indexes:
        rewritten[index] = _as_user_text(messages[index])
    return rewritten


def _as_user_text(message: Message) -> Message:
    """A system message as the user's text, which says where it comes from."""
    content = message.get("content") or ""
    if isinstance(content, str):
        texts, others = [content], []
    else:
        texts = [part["text"] for part in content if part.get("type") == "text"]
        others = [part for part in content if part.get("type") != "text"]
    text = {"type": "text", "text": "<system>\n" + "\n".join(texts) + "\n</system>"}
    return {"role": "user", "content": [*others, text]}


def _system_note(index: int) -> CacheNote:
    path = path_text(("messages", index))
    return CacheNote(path=path, action="changed", sent_to=path, reason=_MID_SYSTEM)
