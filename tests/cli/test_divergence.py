from __future__ import annotations

from asynccache.cli.divergence import find_divergence
from asynccache.cli.report import shares


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


def test_a_conversation_that_only_grows() -> None:
    """A longer conversation with the same beginning does not diverge."""
    assert find_divergence([], said("a")) is None
    assert find_divergence(said("a", "b"), said("a", "b", "c")) is None


def test_the_first_difference_is_named() -> None:
    """The message, the character, and both words around it are told."""
    found = find_divergence(said("same", "on Saturday we close"), said("same", "on Sunday we close"))
    assert found is not None
    assert (found.message, found.character, found.before, found.after) == (1, 4, "Saturday", "Sunday")
    assert str(found) == "prefix diverged at messages[1], character 4: 'Saturday' became 'Sunday'"


def test_every_share_is_seen() -> None:
    """The cells of a bar add up to its width, and no count that is not 0 is left without one."""
    assert shares((1, 0, 9999), 20) == [1, 0, 19]
    assert shares((0, 0, 0), 20) == [0, 0, 0]
    assert shares((50, 25, 25), 20) == [10, 5, 5]
    assert sum(shares((1, 1, 1), 20)) == 20
