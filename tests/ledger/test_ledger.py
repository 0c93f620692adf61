"""The ledger's promises, row by row, on both databases."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from asynccache.errors import ConfigurationError, RateLimitError
from asynccache.reply import Cost, Usage
from asynccache.request import Request
from asynccache.usage.ledger import Ledger, open_ledger
from asynccache.usage.ledger_report import read_rows
from asynccache.usage.ledger_row import COLUMNS, Row
from tests.ledger.attempts import FULL, REQUEST, priced

pytestmark = pytest.mark.anyio


def by_id(ledger: Ledger) -> dict[str, Row]:
    return {row.attempt_id: row for row in read_rows(ledger.source)}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_a_row_is_open_then_settled_with_all_that_is_known(where: str) -> None:
    """Every column comes back as it went in: tokens by bucket and lifetime, money to the last digit."""
    before = datetime.now(UTC)
    async with open_ledger(where) as ledger:
        labelled = ledger.labelled(key_id="team-a", deployment_id="eu-1", tags={"job": "night"})
        labelled.open("call-2", msgspec.structs.replace(REQUEST, attempt=2))
        assert await ledger.opened("call-2")
        (row,) = read_rows(ledger.source)
        assert (row.attempt_id, row.call_id, row.attempt, row.state) == ("call-2", "call", 2, "open")
        assert (row.provider, row.model) == ("anthropic", "anthropic/claude-sonnet-4-5")
        assert (row.key_id, row.deployment_id, row.tags) == ("team-a", "eu-1", '{"job":"night"}')
        assert before <= row.opened_at <= datetime.now(UTC)
        assert row.settled_at is row.outcome is row.cost is row.prompt_tokens is None

        labelled.settle("call-2", FULL, "claude-sonnet-4-5-20250929", None)
        assert await ledger.wait_settled("call-2")
        (settled,) = read_rows(ledger.source)
    known = msgspec.structs.asdict(settled)
    opened = msgspec.structs.asdict(row)
    for name in list(COLUMNS)[: list(COLUMNS).index("state")]:
        assert known.pop(name) == opened[name]
    moment = known.pop("settled_at")
    assert row.opened_at <= moment <= datetime.now(UTC)
    assert moment.utcoffset() == timedelta(0)
    assert known == {
        "state": "settled", "outcome": "ok", "status_code": None, "source": "provider",
        "answered_model": "claude-sonnet-4-5-20250929",
        "prompt_tokens": 1000, "uncached_tokens": 100, "read_tokens": 600, "written_tokens": 300,
        "written_5m_tokens": 200, "written_30m_tokens": None, "written_1h_tokens": 100,
        "written_12h_tokens": None, "output_tokens": 50, "reasoning_tokens": 20,
        "cost": Decimal("0.002880000000000001"), "saved": Decimal("-0.000000000000000001"),
        "without_cache": Decimal("0.00288"), "price": "anthropic/claude-sonnet-4-5@2025-09-29 batch",
        "reason": None,
    }  # fmt: skip


async def test_only_the_first_settle_counts(where: str, caplog: pytest.LogCaptureFixture) -> None:
    """A second settle, and one of an attempt that nobody opened, change nothing and are counted."""
    async with open_ledger(where) as ledger:
        ledger.open("a", REQUEST)
        ledger.settle("a", priced("0.5"), "m", None)
        with caplog.at_level(logging.WARNING, "asynccache"):
            ledger.settle("a", priced("0.7"), "m", None)
            ledger.settle("b", priced("0.9"), "m", None)
        assert await ledger.flush()
        assert ledger.counters.repeated == 2
        assert [(row.attempt_id, row.cost) for row in read_rows(ledger.source)] == [("a", Decimal("0.5"))]
    assert len(caplog.records) == 2


async def test_a_settled_row_stays_as_it_is_whatever_comes_later(where: str) -> None:
    """The key is the attempt: another ledger that opens and settles the same one changes nothing."""
    for amount in ("0.5", "0.7"):
        async with open_ledger(where) as ledger:
            ledger.open("a", REQUEST)
            assert await ledger.opened("a")
            ledger.settle("a", priced(amount), "m", None)
            assert await ledger.wait_settled("a")
            assert [(row.state, row.cost) for row in read_rows(ledger.source)] == [
                ("settled", Decimal("0.5"))
            ]


@pytest.mark.parametrize(
    ("usage", "error", "outcome", "status"),
    [
        (Usage(source="provider"), None, "ok", None),
        (Usage(source="partial"), None, "let_go", None),
        (Usage(), asyncio.CancelledError(), "cancelled", None),
        (Usage(), RateLimitError("slow down", status_code=429), "RateLimitError", 429),
        (Usage(), ZeroDivisionError(), "ZeroDivisionError", None),
    ],
)
async def test_the_outcome_names_how_it_ended(
    tmp_path: Path, usage: Usage, error: BaseException | None, outcome: str, status: int | None
) -> None:
    """ok, let go, cancelled, or the error's class with its status."""
    async with open_ledger(tmp_path / "l.db") as ledger:
        ledger.open("a", REQUEST)
        ledger.settle("a", usage, None, error)
        assert await ledger.flush()
        (row,) = read_rows(ledger.source)
    assert (row.outcome, row.status_code, row.source) == (outcome, status, usage.source)


async def test_an_unknown_cost_is_null_with_its_reason(where: str) -> None:
    """Never 0: the reason says why."""
    async with open_ledger(where) as ledger:
        for attempt, usage in (
            ("a", Usage(cost_details=Cost(reason="no price for m"))),
            ("b", Usage()),
        ):
            ledger.open(attempt, REQUEST)
            ledger.settle(attempt, usage, None, None)
        assert await ledger.flush()
        rows = by_id(ledger)
    assert [(rows[name].cost, rows[name].reason) for name in "ab"] == [
        (None, "no price for m"),
        (None, "the answer carries no cost"),
    ]


@pytest.mark.parametrize("text", ["nul\0", "\ud800 half", "é" * 10_000, "'; DROP TABLE asynccache_calls; --"])
async def test_any_text_can_be_a_model(where: str, text: str) -> None:
    """A model's name comes from the caller or the wire: it costs no row, neither its own nor a neighbour's."""
    async with open_ledger(where) as ledger:
        ledger.open("a", Request(model=f"openai/{text}", messages=[]))
        ledger.open("b", REQUEST)
        ledger.settle("a", FULL, text, None)
        ledger.settle("b", FULL, text, None)
        assert await ledger.flush()
        rows = by_id(ledger)
        assert ledger.counters.lost == ledger.counters.failed == 0
    assert set(rows) == {"a", "b"}
    assert all(0 < len(row.answered_model or "") <= 300 for row in rows.values())


async def test_absurd_counts_and_sums_cost_no_row(where: str) -> None:
    """A count that no store can hold is not known; a sum of any size is kept."""
    async with open_ledger(where) as ledger:
        ledger.open("a", REQUEST)
        ledger.settle("a", priced("12345678901234567890.000000000000000001", prompt_tokens=2**70), "m", None)
        ledger.open("b", REQUEST)
        ledger.settle("b", priced("1", prompt_tokens=2**63 - 1), "m", None)
        assert await ledger.flush()
        rows = by_id(ledger)
    assert rows["a"].cost == Decimal("12345678901234567890.000000000000000001")
    assert (rows["a"].prompt_tokens, rows["b"].prompt_tokens) == (None, 2**63 - 1)


async def test_neither_prompt_nor_key_is_in_a_ledger(tmp_path: Path) -> None:
    """Canaries in every part of a request and an answer leave no trace in any file."""
    from asynccache.request import Access
    from asynccache.secret import Secret

    canary = "canary-7f3a"
    request = Request(
        model="openai/m",
        messages=[{"role": "user", "content": canary}],
        params={"user": canary, "metadata": {"x": canary}},
        access=Access(provider="openai", api_key=Secret(canary), api_base=f"http://{canary}"),
        extra_headers={"authorization": canary},
        extra_body={"x": canary},
        tools=[{"x": canary}],
    )
    async with open_ledger(tmp_path / "l.db") as ledger:
        ledger.open("a", request)
        ledger.settle(
            "a", Usage(raw={"x": canary}), "m", RateLimitError(canary, request_id=canary, code=canary)
        )
        assert await ledger.flush()
        assert len(read_rows(ledger.source)) == 1
        files = contents(tmp_path)
    assert b"RateLimitError" in b"".join(files.values())
    assert [name for name, content in files.items() if canary.encode() in content] == []


async def test_at_the_end_open_rows_become_unknown_and_nothing_is_left_behind(where: str) -> None:
    """aclose writes what waits; an attempt still open is nobody's any more; twice is once."""
    others = set(threading.enumerate())  # of ledgers that were dropped, and may take a moment to end
    ledger = open_ledger(where)
    (thread,) = [each for each in set(threading.enumerate()) - others if each.name == "asynccache ledger"]
    for number in range(300):
        ledger.open(f"a{number}", REQUEST)
        if number % 3:
            ledger.settle(f"a{number}", FULL, "m", None)
    await ledger.aclose()
    await ledger.aclose()
    ledger.close()
    assert not thread.is_alive()
    rows = by_id(ledger)
    assert {row.state for name, row in rows.items() if int(name[1:]) % 3} == {"settled"}
    assert {row.state for name, row in rows.items() if not int(name[1:]) % 3} == {"unknown"}
    assert len(rows) == 300


async def test_what_comes_after_the_end_is_lost_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A late settle raises nothing, is counted, and its row is in the log."""
    ledger = open_ledger(tmp_path / "l.db")
    ledger.open("a", REQUEST)
    await ledger.aclose()
    with caplog.at_level(logging.ERROR, "asynccache"):
        ledger.settle("a", FULL, "m", None)
    assert ledger.counters.lost == 1
    assert '"attempt_id":"a"' in caplog.text
    assert '"prompt_tokens":1000' in caplog.text


async def test_a_ledger_that_is_dropped_is_closed(tmp_path: Path) -> None:
    """Without aclose: its rows are written, its thread ends, its file is free."""
    ledger = open_ledger(tmp_path / "l.db")
    ledger.open("a", REQUEST)
    ledger.settle("a", FULL, "m", None)
    del ledger
    gc.collect()
    async with open_ledger(tmp_path / "l.db") as second:
        assert [row.state for row in read_rows(second.source)] == ["settled"]


async def test_rows_of_many_threads_are_all_there(where: str) -> None:
    """Eight threads at once: every attempt settled, once; the count of transactions shows groups."""
    with_errors: list[BaseException] = []

    def work(ledger: Ledger, thread: int) -> None:
        try:
            for number in range(100):
                ledger.open(f"{thread}-{number}", REQUEST)
                ledger.settle(f"{thread}-{number}", FULL, "m", None)
        except BaseException as error:
            with_errors.append(error)

    async with open_ledger(where) as ledger:
        threads = [threading.Thread(target=work, args=(ledger, thread)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert await ledger.flush()
        rows = read_rows(ledger.source)
        counters = ledger.counters
    assert not with_errors
    assert len(rows) == 800
    assert {row.state for row in rows} == {"settled"}
    assert counters.groups < counters.written <= 1600
    assert counters.waiting == counters.lost == counters.failed == 0


async def test_waiting_for_a_settle_that_comes_later(where: str) -> None:
    """wait_settled may be called before the attempt is over; it ends when the row is durable."""
    async with open_ledger(where) as ledger:
        ledger.open("a", REQUEST)
        waits = [asyncio.ensure_future(ledger.wait_settled("a", timeout=30)) for _ in range(3)]
        await asyncio.sleep(0.02)
        assert not any(wait.done() for wait in waits)
        ledger.settle("a", FULL, "m", None)
        assert await asyncio.gather(*waits) == [True] * 3
        assert [row.state for row in read_rows(ledger.source)] == ["settled"]
        assert await ledger.wait_settled("a")
        assert await ledger.opened("a")


async def test_waiting_has_a_deadline(tmp_path: Path) -> None:
    """An attempt that is not settled in time: False, and a later settle is as good as any."""
    async with open_ledger(tmp_path / "l.db") as ledger:
        ledger.open("a", REQUEST)
        assert await ledger.wait_settled("a", timeout=0.02) is False
        ledger.settle("a", FULL, "m", None)
        assert await ledger.wait_settled("a")


async def test_a_cancelled_wait_harms_nobody(where: str) -> None:
    """The others that wait for the same group are told."""
    async with open_ledger(where) as ledger:
        ledger.open("a", REQUEST)
        first, second = (asyncio.ensure_future(ledger.wait_settled("a", timeout=30)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        ledger.settle("a", FULL, "m", None)
        assert await second
        assert first.cancelled()


def test_waiting_loops_may_be_gone(tmp_path: Path) -> None:
    """A loop that was closed while it waited does not stop the writer."""
    ledger = open_ledger(tmp_path / "l.db")
    ledger.open("a", REQUEST)

    async def leave() -> None:
        waiting = asyncio.ensure_future(ledger.wait_settled("a", timeout=30))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(leave())
    ledger.open("b", REQUEST)
    ledger.settle("b", FULL, "m", None)
    ledger.settle("a", FULL, "m", None)

    async def flush() -> bool:
        return await ledger.flush()

    assert asyncio.run(flush())
    ledger.close()


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://l.db", "http://h"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """The message names what can be given."""
    with pytest.raises(ConfigurationError, match="give a path, sqlite:///path, ':memory:' or postgresql://"):
        open_ledger(url)


async def test_addresses_of_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, relative and absolute URLs, and memory; all can be read while they are written."""
    monkeypatch.chdir(tmp_path)
    for where in ("a.db", "sqlite:///b.db", f"sqlite:///{tmp_path}/c.db", tmp_path / "d.db", ":memory:"):
        async with open_ledger(where) as ledger:
            ledger.open("a", REQUEST)
            assert await ledger.flush()
            assert [row.state for row in read_rows(ledger.source)] == ["open"]
    assert {name for name in contents(tmp_path) if name.endswith(".db")} == {"a.db", "b.db", "c.db", "d.db"}
    assert modes(tmp_path) == {0o600}


async def test_two_ledgers_in_memory_are_two() -> None:
    """Each is its own."""
    async with open_ledger(":memory:") as one, open_ledger(":memory:") as two:
        one.open("a", REQUEST)
        assert await one.flush()
        assert read_rows(two.source) == []


async def test_no_password_is_shown(postgres_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither by repr nor by the error of a wrong address."""
    secret = postgres_url.replace("tester@", "tester:hunter2secret@")
    async with open_ledger(secret) as ledger:
        assert "hunter2secret" not in repr(ledger) + ledger.address
    with pytest.raises(ConfigurationError) as caught:
        open_ledger("postgresql://u:hunter2secret@127.0.0.1:9/db?password=hunter2secret")
    assert "postgresql://u@127.0.0.1:9/db cannot be used" in str(caught.value)
    assert "hunter2secret" not in str(caught.value) + caplog.text


def test_columns_and_fields_are_the_same() -> None:
    """The table of columns is the row's fields, in order."""
    assert tuple(COLUMNS) == Row.__struct_fields__


async def test_the_stage_is_placed_right_inside_record_usage(tmp_path: Path) -> None:
    """The picture of the pipeline shows it."""
    from tests.ledger.attempts import client

    async with open_ledger(tmp_path / "l.db") as ledger, client(ledger) as mine:
        picture = repr(mine.pipeline)
        assert "record_usage ──► write_ahead ──► annotate_cost" in picture
        assert [stage for stage in ledger.within([]) if stage] == []
