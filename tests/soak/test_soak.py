"""The short soak: 300 streams at once, a tenth of them spoiled. Guarantee 15."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from .run import soak


def check(measured: dict[str, Any], streams: int, errors: set[str]) -> None:
    """No row is lost or doubled, no spoiled stream is a success, and every whole one told its own usage."""
    server, whole = measured["server"], streams - streams // 10
    assert measured["rows"] == server["attempts"] == streams
    assert measured["outcomes"].pop("provider") == server["whole"] == whole
    assert measured["outcomes"].keys() <= errors
    assert sum(measured["outcomes"].values()) == streams // 10
    assert measured["sources"]["provider"] == whole
    assert measured["tokens"] == server["tokens"]
    assert server["open"] == 0


@pytest.mark.timeout(300)
def test_300_streams() -> None:
    """Nothing is lost, and memory holds."""
    measured = soak(300, pause=0.05)
    check(
        measured, 300, {"StreamInterruptedError", "InvalidResponseError"}
    )  # a bad chunk is one or the other
    assert measured["rss_most_mb"] - measured["rss_before_mb"] < 40
    assert measured["wall_s"] < 150  # some 4 seconds on an idle machine


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_turns_of_the_loop_by_the_clock() -> None:
    """No turn of the loop takes half a second of processor time; in CI the other tests' garbage is collected in one."""
    gc.collect()
    gc.freeze()
    try:
        assert min(soak(300, pause=0.05)["busy_worst_ms"] for _ in range(2)) < 500
    finally:
        gc.unfreeze()


@pytest.mark.timeout(300)
def test_300_streams_through_a_proxy() -> None:
    """The same with a proxy and its ledger in between: a row for every attempt, in tokens what the provider told."""
    measured = soak(300, pause=0.05, proxy=True)
    check(measured, 300, {"InternalServerError"})  # what the proxy's error event is to its caller
    proxy, server = measured["proxy"], measured["server"]
    assert proxy["rows"] == proxy["attempt_ids"] == server["attempts"]
    assert (proxy["ok"], proxy["tokens"]) == (server["whole"], server["tokens"])
    assert proxy["states"] == {"settled": 300}
    assert proxy["exit"] == 0
