"""Errors carry what they know wherever they go."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from asynccache import errors
from asynccache.reply import Completion, Usage


def pickled(error: Any) -> Any:
    return pickle.loads(pickle.dumps(error))


class OwnError(errors.AsyncCacheError):
    """A caller's own, whose constructor wants something by name."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"over {limit}")
        self.limit = limit


def examples() -> list[errors.AsyncCacheError]:
    """One of every class of the tree, and a caller's own."""
    late = errors.APITimeoutError("too late", phase="idle", provider="openai")
    made: list[errors.AsyncCacheError] = [late, OwnError(limit=3)]
    for name in errors.__all__:
        cls = getattr(errors, name)
        if isinstance(cls, type) and cls is not errors.APITimeoutError:
            made.append(
                cls("no", provider="openai", status_code=429, retry_after=2.5, usage=Usage(prompt_tokens=1))
            )
    return made


@pytest.mark.parametrize("carry", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_an_error_comes_whole_out_of_a_process_pool(
    error: errors.AsyncCacheError, carry: Callable[[Any], Any]
) -> None:
    """Copied or pickled it is the same class, with the same words and the same facts."""
    if isinstance(error, errors.StreamInterruptedError):
        error.completion = Completion(id="1")
    arrived = carry(error)
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.args, vars(arrived)) == (str(error), error.args, vars(error))
