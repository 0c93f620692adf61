"""The short soak: 300 streams at once, a tenth of them spoiled. Guarantee 15."""

from __future__ import annotations

import pytest

from .run import soak


@pytest.mark.timeout(120)
def test_300_streams() -> None:
    """No row is lost or doubled, no spoiled stream is a success, and memory and loop hold."""
    measured = soak(300, pause=0.05)
    assert measured["rows"] == measured["server"]["attempts"] == 300
    assert measured["outcomes"].pop("provider") == 270
    assert sum(measured["outcomes"].values()) == 30
    assert measured["sources"]["provider"] == 270
    assert measured["rss_most_mb"] - measured["rss_before_mb"] < 40
    assert measured["lag_worst_ms"] < 1500  # 500 on a machine of its own
    assert measured["wall_s"] < 30
