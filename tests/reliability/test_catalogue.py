"""`docs/reliability.md` says what the catalogue says, and the catalogue names tests that exist."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from .catalogue import AIOHTTP, PAGE, ROWS, TESTS
from .page import GAPS, GUARANTEES, render


@cache
def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }


def there(tests: tuple[str, ...]) -> None:
    for name in tests:
        path, _, test = name.partition("::")
        assert test in names_in(TESTS / path), name


def test_every_row_is_there() -> None:
    """A hundred rows; each has tests, or says that it is not promised and why."""
    assert list(ROWS) == list(range(1, 101))
    assert list(GUARANTEES) == list(range(1, 16))
    assert len(GAPS) == 13
    for number, row in ROWS.items():
        assert row.fault, number
        assert row.here, number
        assert row.tests or row.limit, number


@pytest.mark.parametrize("row", ROWS)
def test_rows_name_tests_that_are_there(row: int) -> None:
    """A row names tests that exist."""
    there(ROWS[row].tests)


@pytest.mark.parametrize("number", GUARANTEES)
def test_guarantees_name_tests_that_are_there(number: int) -> None:
    """So does a guarantee, one at least."""
    assert GUARANTEES[number].tests
    there(GUARANTEES[number].tests)


@pytest.mark.parametrize("gap", GAPS)
def test_guards_name_tests_that_are_there(gap: object) -> None:
    """So does a guard against what aiohttp does not do."""
    assert isinstance(gap, tuple)
    there(gap.tests)  # type: ignore[attr-defined]
    there((f"{AIOHTTP}::{gap.probe}",) if gap.probe else ())  # type: ignore[attr-defined]


def test_the_page_is_made_of_it() -> None:
    """`python -m tests.reliability.catalogue --write` was run."""
    assert PAGE.read_text(encoding="utf-8") == render()
