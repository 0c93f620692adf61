"""Where the shared facts lie, when they lie beside the checkout; tests that read them skip, saying so, elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[1].parent / "shared"
SHARED: Path | None = _BESIDE if (_BESIDE / "recordings").is_dir() else None

requires_shared = pytest.mark.skipif(SHARED is None, reason="no ../shared beside this checkout")


def shared(*parts: str) -> Path:
    """The path of a shared fact; skips the test when there is none."""
    if SHARED is None:
        pytest.skip("no ../shared beside this checkout")
    return SHARED.joinpath(*parts)
