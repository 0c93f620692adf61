"""What a ledger adds up to, in the library and on the command line: exact, grouped, plain where nobody watches."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext
from pathlib import Path

import msgspec
import pytest

from asynccache.errors import ConfigurationError
from asynccache.reply import Cost, PromptTokensDetails, Usage
from asynccache.usage.ledger import Ledger, open_ledger
from asynccache.usage.ledger_report import GROUPINGS, read_rows, summarize
from asynccache.usage.ledger_store import TABLE
from tests.cli.command import run
from tests.ledger.attempts import FULL, REQUEST

pytestmark = pytest.mark.anyio

DEAR = Decimal("123456789012345.600000000000000001")  # more digits than a float or Decimal's own default keep


def exact(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(Context(prec=60)):
        return sum(amounts, Decimal(0))


def fill(ledger: Ledger) -> None:
    """Two keys, three models; ok, failed, left and untold attempts; sums that a float cannot hold."""
    for number in range(10):
        labelled = ledger.labelled(key_id="team-a" if number % 2 else "team-b")
        labelled.open(f"ok-{number}", msgspec.structs.replace(REQUEST, call_id=f"c{number}"))
        labelled.settle(f"ok-{number}", FULL, "m", None)
    other = msgspec.structs.replace(REQUEST, model="openai/gpt-4o", call_id="c9", attempt=1)
    ledger.open("failed", other)
    ledger.settle("failed", Usage(), None, ZeroDivisionError())
    ledger.open("left", msgspec.structs.replace(other, call_id="left"))
    ledger.settle("left", Usage(source="partial", prompt_tokens=7), None, None)
    ledger.open("dear", msgspec.structs.replace(other, call_id="dear"))
    dear = Usage(
        prompt_tokens=2000,
        completion_tokens=5,
        source="provider",
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=0, cache_write_tokens=0, uncached_tokens=2000
        ),
        cost_details=Cost(total=DEAR, saved=Decimal(0)),
    )
    ledger.settle("dear", dear, None, None)
    ledger.open("open", msgspec.structs.replace(other, model="openai/odd", call_id="open"))


async def test_sums_are_exact_in_every_grouping(where: str) -> None:
    """Money to the last digit; counts by bucket; each grouping adds up to the whole."""
    async with open_ledger(where) as ledger:
        fill(ledger)
        assert await ledger.flush()
        (total,) = await ledger.summarize()
        for by in GROUPINGS:
            groups = summarize(ledger.source, [by])
            assert exact(group.cost for group in groups) == total.cost
            assert sum(group.attempts for group in groups) == total.attempts == 14
        models = {group.by["model"]: group for group in summarize(ledger.source, ["model"])}
        keys = summarize(ledger.source, ["key", "model"])
        states = {group.by["state"]: group.attempts for group in summarize(ledger.source, ["state"])}
    assert total.cost == exact([*[FULL.cost_details.total] * 10, DEAR])
    assert total.saved == Decimal("-0.00000000000000001")
    assert (total.calls, total.ok, total.failed, total.let_go, total.open, total.unknown) == (
        13,
        11,
        1,
        1,
        1,
        0,
    )
    assert total.unpriced == 2
    sonnet = models["anthropic/claude-sonnet-4-5"]
    assert (sonnet.prompt_tokens, sonnet.read_tokens, sonnet.written_tokens) == (10_000, 6000, 3000)
    assert (sonnet.written_5m_tokens, sonnet.written_1h_tokens, sonnet.uncached_tokens) == (2000, 1000, 1000)
    assert (sonnet.output_tokens, sonnet.reasoning_tokens, sonnet.hit_ratio) == (500, 200, 0.6)
    assert models["openai/gpt-4o"].hit_ratio == 0  # the 7 tokens of which nothing is told do not count
    assert models["openai/odd"].hit_ratio is None
    assert {tuple(group.by.values()) for group in keys} == {
        ("team-a", "anthropic/claude-sonnet-4-5"), ("team-b", "anthropic/claude-sonnet-4-5"),
        (None, "openai/gpt-4o"), (None, "openai/odd"),
    }  # fmt: skip
    assert states == {"settled": 13, "open": 1}


async def test_a_time_span_cuts_rows_by_their_beginning(where: str) -> None:
    """since is inclusive, until exclusive; a limit takes the newest."""
    async with open_ledger(where) as ledger:
        for number in range(4):
            ledger.open(str(number), REQUEST)
        assert await ledger.flush()
        rows = read_rows(ledger.source)
        middle = rows[1].opened_at  # newest first
        assert [row.attempt_id for row in rows] == ["3", "2", "1", "0"]
        assert [row.attempt_id for row in read_rows(ledger.source, since=middle)] == ["3", "2"]
        assert [row.attempt_id for row in read_rows(ledger.source, until=middle)] == ["1", "0"]
        assert [row.attempt_id for row in read_rows(ledger.source, limit=1)] == ["3"]
        later = middle + timedelta(days=1)
        assert summarize(ledger.source, since=later) == summarize(ledger.source, ["day"], since=later) == []
        (day,) = summarize(ledger.source, ["day"], since=middle.replace(hour=0, minute=0))
        assert day.by == {"day": datetime.now(UTC).date().isoformat()}


async def test_a_ledger_whose_process_was_killed_can_be_read(tmp_path: Path) -> None:
    """Before anybody opens it again, by a reader that writes nothing into it."""
    async with open_ledger(tmp_path / "l.db") as ledger:
        fill(ledger)
        assert await ledger.flush()
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("l.db", "l.db-wal"):  # what a dead process leaves
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    before = (copy / "l.db").read_bytes()
    assert {row.state for row in read_rows(copy / "l.db")} == {"settled", "open"}
    assert (copy / "l.db").read_bytes() == before


def test_nothing_to_read_is_said_clearly(tmp_path: Path) -> None:
    """A missing file is not made; a file of something else is told from a ledger."""
    with pytest.raises(ConfigurationError, match="there is no ledger at"):
        read_rows(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
    sqlite3.connect(tmp_path / "other.db").close()
    (tmp_path / "text.db").write_text("no database" * 100)
    for name in ("other.db", "text.db"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            read_rows(tmp_path / name)


def test_the_report_is_a_table_with_bars(where: str) -> None:
    """Groups, exact money, the hit ratio and bars; no escape codes where the output is no terminal."""
    ledger = open_ledger(where)
    fill(ledger)
    ledger.close()
    shown = run("report", where, "--by", "model")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\x1b" not in shown.stdout
    lines = shown.stdout.splitlines()
    assert re.split(r"\s{2,}", lines[0]) == [
        "model",
        "calls",
        "prompt",
        "read",
        "written",
        "output",
        "hits",
        "cost",
        "saved",
    ]
    sonnet = next(line for line in lines if line.startswith("anthropic/"))
    assert "60.0%" in sonnet
    assert "$0.02880000000000001" in sonnet
    assert "-$0.00000000000000001" in sonnet
    gpt = next(line for line in lines if line.startswith("openai/gpt-4o"))
    assert "$123,456,789,012,345.600000000000000001" in gpt
    assert "attempts that failed: 1" in lines
    assert "attempts that ended with their process (what they used is not known): 1" in lines


def test_the_bars_show_read_written_and_uncached(tmp_path: Path) -> None:
    """In the proportions of the prompt; the largest group has the longest bar."""
    ledger = open_ledger(tmp_path / "l.db")
    for number in range(10):
        ledger.open(str(number), msgspec.structs.replace(REQUEST, model="a/big" if number else "a/small"))
        ledger.settle(str(number), FULL, None, None)
    ledger.close()
    lines = run("report", str(tmp_path / "l.db"), COLUMNS="200").stdout.splitlines()
    bars = {line.split()[0]: line.split()[-1] for line in lines[1:3]}
    assert len(bars["a/big"]) == 24
    assert len(bars["a/small"]) == 3  # each part shows, however small
    assert bars["a/big"].count("█") > bars["a/big"].count("▓") > bars["a/big"].count("░") > 0
    narrow = run("report", str(tmp_path / "l.db"), COLUMNS="20").stdout
    assert "█" not in narrow


def test_the_report_as_json(where: str) -> None:
    """One document; amounts are strings of all their digits."""
    ledger = open_ledger(where)
    fill(ledger)
    ledger.close()
    document = json.loads(run("report", where, "--by", "key,day", "--json", "--since", "7d").stdout)
    assert document["by"] == ["key", "day"]
    assert document["total"]["cost"] == "123456789012345.628800000000000011"
    assert document["total"]["hit_ratio"] == 0.5
    assert exact(Decimal(group["cost"]) for group in document["groups"]) == Decimal(document["total"]["cost"])
    assert {group["by"]["key"] for group in document["groups"]} == {None, "team-a", "team-b"}
    empty = json.loads(run("report", where, "--json", "--until", "2020-01-01").stdout)
    assert (empty["groups"], empty["total"], empty["until"]) == ([], None, "2020-01-01T00:00:00+00:00")
    assert run("report", where, "--until", "2020-01-01").stdout == "no calls\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.db"], 1, "Error: there is no ledger at nowhere.db\n"),
        (["x", "--by", "modell"], 2, "'modell' is none of model, key, day"),
        (
            ["x", "--since", "yesterday"],
            2,
            "'yesterday' is neither a day such as 2026-11-01 nor a time such as 24h or 7d",
        ),
    ],
)
def test_what_cannot_be_reported(arguments: list[str], code: int, said: str) -> None:
    """One line that names the value and the remedy."""
    shown = run("report", *arguments)
    assert shown.returncode == code
    assert said in shown.stderr


def test_a_later_ledger_is_left_alone(tmp_path: Path) -> None:
    """A table of another shape is not touched by a program that does not know it."""
    path = tmp_path / "l.db"
    ledger = open_ledger(path)
    ledger.open("a", REQUEST)
    ledger.close()
    db = sqlite3.connect(path)
    db.execute(f"UPDATE {TABLE} SET state = 'open'")
    db.execute("PRAGMA user_version=2")
    db.commit()
    db.close()
    with pytest.raises(ConfigurationError, match="version 2 was made by a later asynccache"):
        open_ledger(path)
    assert [row.state for row in read_rows(path)] == ["open"]
