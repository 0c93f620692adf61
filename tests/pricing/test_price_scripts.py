"""The cross-check with other collections of prices: it passes today, and it would notice."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from asynccache.pricing.book import find
from asynccache.pricing.catalogue import Match
from asynccache.pricing.entries import DatedPrice, Model, Tier
from asynccache.pricing.shelves import shelf_of

_SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
_PINNED = {"genai-prices": "0.2.3", "litellm": "1.109.1"}


def _missing() -> str:
    for name, version in _PINNED.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return f"{name} is not installed"
        if found != version:
            return f"{name} is {found}; the explanations are about {version}"
    return ""


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(_SCRIPTS))
    return importlib.import_module("price_differences")


@pytest.mark.skipif(bool(_missing()), reason=_missing())
def test_every_difference_is_explained() -> None:
    """scripts/check_prices.py finds nothing in the pinned collections that no row of ours explains."""
    ran = subprocess.run(
        [sys.executable, str(_SCRIPTS / "check_prices.py")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert ran.stdout.endswith("0 of them unexplained\n")


def _other(**rates: Any) -> Model:
    return Model(name="gpt-4o", prices=(DatedPrice(since="2024-01-01", **rates),))


def test_a_figure_that_differs_is_named(scripts: Any) -> None:
    """What another collection prints and we do not is told bucket by bucket; what it leaves out is not."""
    ours = find("gpt-4o")
    assert type(ours) is Match
    assert scripts.differences(ours, _other(input=Decimal("2.5"), output=Decimal(10))) == ""
    assert (
        scripts.differences(ours, _other(input=Decimal("2.6"), read=Decimal("0.25")))
        == "input 2.6, read 0.25"
    )
    batch = {"batch": Tier(input=Decimal("1.25"), output=Decimal(6))}
    assert scripts.differences(ours, _other(input=Decimal("2.5"), tiers=batch)) == "batch output 6"
    shorter = msgspec.structs.replace(_other(input=Decimal("2.5")), min_cacheable_tokens=512)
    assert scripts.differences(ours, shorter) == "minimum 512"


def test_an_explanation_holds_for_its_figures_only(scripts: Any) -> None:
    """When the other collection changes its figures, the old explanation no longer counts."""
    text = "input 2.6: an old list | read 1: another"
    assert scripts.explains(text, "input 2.6")
    assert scripts.explains(text, "read 1")
    assert not scripts.explains(text, "input 2.7")


def test_every_explanation_begins_with_figures() -> None:
    """No row carries an explanation that could never match."""
    for provider in ("anthropic", "openai", "deepseek", "bedrock"):
        shelf = shelf_of(provider)
        assert shelf is not None
        for model in shelf.file.models:
            for origin, text in model.explained.items():
                assert origin in _PINNED
                assert all(
                    ": " in part and any(c.isdigit() for c in part.split(": ")[0])
                    for part in text.split(" | ")
                )
