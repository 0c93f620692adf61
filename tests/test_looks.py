"""What a look at the messages has shown is used for these messages only, and saves the encoder nothing but time."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynccache.cache_control import apply_cache_rules
from asynccache.errors import InvalidRequestError
from asynccache.looks import Looked, find_others
from asynccache.providers.anthropic.conversation import Marks, system_and_messages
from asynccache.providers.registry import get
from asynccache.request import Access, Request

MARK = {"type": "ephemeral"}
CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"content": "c", "role": "user"},
    {"role": "user", "content": ""},
    {"role": "assistant", "content": ""},
    {"role": "system", "content": "d"},
    {"role": "developer", "content": "e"},
    {"role": "user", "content": "f", "cache_control": MARK},
    {"role": "user", "content": [{"type": "text", "text": "g", "cache_control": MARK}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "t1", "content": "h"},
    {"role": "user", "name": "i"},
    {"role": "user", "content": "j", "name": "k"},
]
CONVERSATIONS = st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=9)


def outcome(messages: Any, marks: Any = ()) -> Any:
    """What the encoder makes of *messages* as JSON, or why it makes nothing."""
    try:
        return orjson.dumps(system_and_messages(messages, Marks(marks)))
    except (InvalidRequestError, KeyError) as error:
        return repr(error)


def append(messages: list[Any], _place: int, new: Any) -> None:
    messages.append(new)


def drop(messages: list[Any], _place: int, _new: Any) -> None:
    messages.pop()


def insert(messages: list[Any], place: int, new: Any) -> None:
    messages.insert(place, new)


def replace(messages: list[Any], place: int, new: Any) -> None:
    messages[place % len(messages)] = new


@settings(max_examples=300, deadline=None)
@given(CONVERSATIONS)
def test_plain_messages_are_those_of_a_speaker_and_a_text(messages: list[dict[str, Any]]) -> None:
    """All that is not named among the others is a user's or an assistant's text, and nothing else."""
    others = find_others(messages)
    for position, message in enumerate(messages):
        plain = message.keys() == {"role", "content"} and bool(message["content"])
        plain = plain and type(message["content"]) is str and message["role"] in {"user", "assistant"}
        assert (position not in others) == plain


@settings(max_examples=300, deadline=None)
@given(CONVERSATIONS)
def test_the_look_changes_no_body(messages: list[dict[str, Any]]) -> None:
    """Messages that were looked at are encoded as the same messages in a plain list, marks included."""
    provider = get("anthropic")
    access = Access(provider="anthropic", api_base="http://127.0.0.1:1")
    request = Request(model="anthropic/claude-opus-4-8", messages=messages, access=access)
    planned = apply_cache_rules(request, provider.cache_rules(request))
    assert outcome(planned.messages, planned.marks) == outcome(list(planned.messages), planned.marks)


@settings(max_examples=300, deadline=None)
@given(CONVERSATIONS, st.integers(0, 8), st.sampled_from(MESSAGES))
def test_a_list_that_was_changed_is_looked_at_again(
    messages: list[dict[str, Any]], place: int, new: dict[str, Any]
) -> None:
    """A stage may put another message into the list, add one or take one out: the look then counts for nothing."""
    for change in (append, drop, insert, replace):
        looked = Looked(messages, find_others(messages))
        change(looked, place, new)
        assert find_others(looked) == find_others(list(looked))
        assert outcome(looked) == outcome(list(looked))


def test_a_look_is_taken_once() -> None:
    """While the list is the one that was looked at, what was found is what is told."""
    found = [7]
    assert find_others(Looked([{"role": "user", "content": "a"}], found)) is found


@pytest.mark.parametrize("after", [[], [{"role": "user", "content": "more"}], MESSAGES[:3]])
def test_what_the_user_says_after_results_stands_with_them(after: list[dict[str, Any]]) -> None:
    """Plain texts of the user directly after results of tools join them in one message, as others do."""
    messages = [MESSAGES[0], MESSAGES[10], MESSAGES[11], *after, MESSAGES[1], MESSAGES[0]]
    _, turns = system_and_messages(messages, Marks(()))
    joined = [message["content"] for message in after if message["role"] == "user"][:1]
    assert [part.get("text") for part in turns[2]["content"]] == [None, *joined]
    rest = [*after[len(joined) :], MESSAGES[1], MESSAGES[0]]
    assert turns[3:] == rest
