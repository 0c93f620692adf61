"""A database that fails costs no call and, when it works again, no row."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import final

import anyio
import pytest

from asynccache.client import Client
from asynccache.errors import ConfigurationError
from asynccache.testing import scripted
from asynccache.usage.ledger import Ledger, open_ledger
from asynccache.usage.ledger_report import read_rows
from asynccache.usage.ledger_row import Row
from asynccache.usage.ledger_store import RefusedRowError, Store
from asynccache.usage.recorder import record_usage
from tests.ledger.attempts import FULL, REQUEST

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]


async def test_a_second_writer_of_one_file_is_refused(tmp_path: Path) -> None:
    """In this process and in another; readers are welcome; a free file is taken over."""
    path = tmp_path / "l.db"
    async with open_ledger(path) as ledger:
        with pytest.raises(
            ConfigurationError, match=f"being written by process {os.getpid()}; give each process"
        ):
            open_ledger(path)
        code = f"from asynccache.usage.ledger import open_ledger; open_ledger({str(path)!r})"
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        _, stderr = await other.communicate()
        assert other.returncode == 1
        assert b"ConfigurationError: the ledger" in stderr
        ledger.open("a", REQUEST)
        assert await ledger.flush()
        assert len(read_rows(path)) == 1
    async with open_ledger(path):
        pass


async def test_two_processes_may_share_postgres(postgres_url: str) -> None:
    """Both write; neither takes the other's open rows for a dead process's."""
    async with open_ledger(postgres_url) as one:
        one.open("one", REQUEST)
        assert await one.flush()
        async with open_ledger(postgres_url) as two:
            two.open("two", REQUEST)
            assert await two.flush()
            assert {row.attempt_id: row.state for row in read_rows(postgres_url)} == {
                "one": "open",
                "two": "open",
            }
        assert {row.attempt_id: row.state for row in read_rows(postgres_url)} == {
            "one": "open",
            "two": "unknown",
        }
        one.settle("one", FULL, "m", None)
        assert await one.wait_settled("one")
    assert {row.attempt_id: row.state for row in read_rows(postgres_url)} == {
        "one": "settled",
        "two": "unknown",
    }


async def test_what_was_taken_for_dead_may_still_be_settled(postgres_url: str) -> None:
    """A connection that broke looks like a dead process to others; the settle that comes is the truth."""
    import asyncpg

    async with open_ledger(postgres_url) as ledger:
        ledger.open("a", REQUEST)
        assert await ledger.flush()
        connection = await asyncpg.connect(postgres_url)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
            while await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"):
                await asyncio.sleep(0.01)
        finally:
            await connection.close()
        async with open_ledger(postgres_url):
            assert [row.state for row in read_rows(postgres_url)] == ["unknown"]
        ledger.settle("a", FULL, "m", None)
        assert await ledger.wait_settled("a", timeout=20)
        assert [row.state for row in read_rows(postgres_url)] == ["settled"]
        assert ledger.counters.lost == 0


def test_a_full_disk_stops_no_call_and_loses_no_row(tmp_path: Path) -> None:
    """A file that may not grow: calls go on, the log says so, rows wait and are written when there is room."""
    code = """
        import asyncio, logging, resource, signal, sys
        from asynccache.testing import simulator
        from asynccache.usage.ledger import open_ledger
        from asynccache.usage.ledger_report import read_rows
        from tests.ledger.attempts import client
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        logging.basicConfig(format="%(message)s")

        async def main():
            async with simulator(answer="yes") as sim, open_ledger(sys.argv[1]) as ledger, client(ledger) as mine:
                async def call():
                    return await mine.acompletion("openai/gpt-4o", [{"role": "user", "content": "x"}],
                                                  api_base=sim.openai_base, api_key="")
                await call()
                assert await ledger.flush()
                resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
                for _ in range(60):
                    assert (await call()).choices[0].message.content == "yes"
                assert not await ledger.flush(timeout=0.2)
                counters = ledger.counters
                assert counters.failed > 0 and counters.waiting > 0 and counters.lag > 0, counters
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                assert await ledger.flush(timeout=30)
                rows = read_rows(ledger.source)
                print(len(rows), {row.outcome for row in rows}, ledger.counters.lost, ledger.counters.waiting)

        asyncio.run(main())
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "l.db")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n")[0] == "61 {'ok'} 0 0"
    assert "cannot be written (OperationalError: " in run.stderr
    assert "calls go on" in run.stderr
    assert "is written again" in run.stderr


@pytest.mark.parametrize("kind", ["folder", "no-folder", "not-sqlite", "later"])
def test_what_cannot_be_a_ledger_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """A clear error when the program starts, and nothing is left locked."""
    path = tmp_path / "l.db"
    if kind == "folder":
        path.mkdir()
    elif kind == "no-folder":
        path = tmp_path / "no" / "l.db"
    elif kind == "not-sqlite":
        path.write_bytes(b"these are not the bytes that you are looking for" * 100)
    else:
        open_ledger(path).close()
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version=99")
        db.close()
    for _ in range(2):
        with pytest.raises(
            ConfigurationError, match=r"cannot be used: .*its folder must exist and be writable"
        ):
            open_ledger(path)


async def test_a_torn_tail_is_cut_off(tmp_path: Path) -> None:
    """Garbage at the end of the write-ahead log, as a power failure leaves it, costs nothing that was whole."""
    path = tmp_path / "l.db"
    code = f"""
        import os, signal
        from asynccache.usage.ledger import open_ledger
        from tests.ledger.attempts import FULL, REQUEST
        import asyncio
        ledger = open_ledger({str(path)!r})
        for n in range(50):
            ledger.open(str(n), REQUEST)
            ledger.settle(str(n), FULL, "m", None)
        assert asyncio.run(ledger.flush())
        os.kill(os.getpid(), signal.SIGKILL)
    """
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", textwrap.dedent(code), cwd=ROOT)
    assert await process.wait() == -signal.SIGKILL
    with (tmp_path / "l.db-wal").open("ab") as log:
        log.write(os.urandom(3000))
    async with open_ledger(path) as ledger:
        rows = read_rows(ledger.source)
    assert len(rows) == 50
    assert {row.state for row in rows} == {"settled"}


@final
class Failing:
    """A store that fails as long as it is told to; what it holds is in `rows`."""

    address = "nowhere"

    def __init__(self, *, refuses: str = "") -> None:
        self.broken = True
        self.rows: dict[str, Row] = {}
        self._refuses = refuses

    def connect(self) -> int:
        return 0

    def write(self, rows: Sequence[Row], /) -> None:
        if any(row.attempt_id == self._refuses for row in rows):
            raise RefusedRowError("no such row")
        if self.broken:
            raise OSError("no space left")
        self.rows.update({row.attempt_id: row for row in rows})

    def close(self) -> None: ...


def ledger_on(store: Store, *, strict: bool = False, max_waiting: int = 100) -> Ledger:
    return Ledger(store, owner=1, strict=strict, max_waiting=max_waiting, source="nowhere")


async def test_memory_is_bounded_while_a_database_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the bound rows are lost, and each of them is in the log; those within are written later."""
    store = Failing()
    ledger = ledger_on(store, max_waiting=10)
    with caplog.at_level(logging.ERROR, "asynccache"):
        for number in range(50):
            ledger.open(str(number), REQUEST)
        assert not await ledger.flush(timeout=0.05)
        lost = ledger.counters.lost
        assert 30 <= lost <= 40  # one group is in the writer's hands beside the queue
        assert sum("lost a row" in record.message for record in caplog.records) == lost
        store.broken = False
        assert await ledger.flush(timeout=20)
    assert len(store.rows) == 50 - lost
    assert ledger.counters.waiting == 0
    assert ledger.lag == 0
    await ledger.aclose()


async def test_a_row_that_is_refused_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    """The rest of its group is written."""
    store = Failing(refuses="3")
    ledger = ledger_on(store)
    store.broken = False
    with caplog.at_level(logging.ERROR, "asynccache"):
        for number in range(10):
            ledger.open(str(number), REQUEST)
        assert await ledger.flush()
    assert set(store.rows) == {str(number) for number in range(10)} - {"3"}
    assert ledger.counters.lost == 1
    assert "refuses a row: no such row" in caplog.text
    await ledger.aclose()


async def test_a_strict_ledger_refuses_what_it_cannot_write(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """strict: nothing is sent without its row; otherwise the call goes on, and does not wait for its limit."""
    for strict in (True, False):
        monkeypatch.setattr("asynccache.usage.ledger._DEADLINE", 2.0 if strict else 30.0)
        store = Failing()
        ledger = ledger_on(store, strict=strict)
        answer = scripted()
        async with Client(stages=[*ledger.within([record_usage]), answer], recorders=[ledger]) as mine:
            began = anyio.current_time()
            if strict:
                with pytest.raises(
                    ConfigurationError, match="did not take the call's row in 2 s; nothing was sent"
                ):
                    await mine.acompletion("openai/m", [{"role": "user", "content": "x"}])
            else:
                for _ in range(5):
                    await mine.acompletion("openai/m", [{"role": "user", "content": "x"}])
                assert anyio.current_time() - began < 20
        assert len(answer.requests) == (0 if strict else 5)
        store.broken = False
        assert await ledger.flush(timeout=20)
        await ledger.aclose()
        assert len(store.rows) == (1 if strict else 5)


async def test_the_end_of_a_failing_ledger_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """close gives up after its timeout; every row that was waiting is in the log."""
    ledger = ledger_on(Failing())
    with caplog.at_level(logging.ERROR, "asynccache"):
        for number in range(5):
            ledger.open(str(number), REQUEST)
        began = anyio.current_time()
        ledger.close(timeout=0.2)
        assert anyio.current_time() - began < 20
    assert ledger.counters.lost == 5
    assert sum("lost a row" in record.message for record in caplog.records) == 5


def test_a_forked_child_writes_nothing(tmp_path: Path) -> None:
    """Its calls are lost loudly instead of waiting for a thread that is not there; the parent's are written."""
    code = f"""
        import logging, os, sys, asyncio
        logging.basicConfig()
        from asynccache.usage.ledger import open_ledger
        from asynccache.usage.ledger_report import read_rows
        from tests.ledger.attempts import FULL, REQUEST
        ledger = open_ledger({str(tmp_path / "l.db")!r})
        child = os.fork()
        if not child:
            ledger.open("child", REQUEST)
            ledger.close()
            os._exit(10 + ledger.counters.lost)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 11
        ledger.open("parent", REQUEST)
        assert asyncio.run(ledger.flush())
        print([row.attempt_id for row in read_rows(ledger.source)])
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.stdout == "['parent']\n", run.stderr
    assert 'lost a row: {"attempt_id":"child"' in run.stderr


def test_a_program_that_just_ends_has_written_its_rows(tmp_path: Path) -> None:
    """Without aclose, at the end of the interpreter, with no noise."""
    code = f"""
        from asynccache.usage.ledger import open_ledger
        from tests.ledger.attempts import FULL, REQUEST
        ledger = open_ledger({str(tmp_path / "l.db")!r})
        for n in range(2000):
            ledger.open(str(n), REQUEST)
            ledger.settle(str(n), FULL, "m", None)
    """
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert sum(row.state == "settled" for row in read_rows(tmp_path / "l.db")) == 2000
