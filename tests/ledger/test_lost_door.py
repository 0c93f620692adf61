"""A budget's door whose PostgreSQL says goodbye: it is told as a lost connection, and the next use makes a new one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import parse_qs, urlsplit

import pytest

from asynccache.usage.ledger_budget import BUDGET_TABLES, settle, standing
from asynccache.usage.ledger_door import open_door

_FIELDS = (b"SFATAL", b"VFATAL", b"C57P01", b"Mterminating connection due to administrator command")
_TEXT = b"\0".join(_FIELDS) + b"\0\0"
FAREWELL = b"E" + (len(_TEXT) + 4).to_bytes(4, "big") + _TEXT


class Between:
    """Passes everything between a client and the server; where it is told to, it adds the server's farewell."""

    def __init__(self, path: str) -> None:
        self.says_goodbye = False
        self.accepted = 0
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                for ends in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_server: bool) -> None:
        with suppress(OSError), closing(source), closing(target):
            while data := source.recv(65536):
                if is_server and self.says_goodbye and b"COMMIT" in data:
                    self.says_goodbye = False
                    data += FAREWELL  # in one read with the answer, and the connection does not end yet
                target.sendall(data)


@pytest.fixture
def between(postgres_url: str) -> Iterator[tuple[Between, str]]:
    """What lies between, and the ledger's address behind it."""
    asked = parse_qs(urlsplit(postgres_url).query)
    made = Between(f"{asked['host'][0]}/.s.PGSQL.5432")
    with closing(made):
        yield (
            made,
            f"postgresql://tester@127.0.0.1:{made.port}/postgres?sslmode=disable&search_path={asked['search_path'][0]}",
        )


def test_a_farewell_without_an_end(between: tuple[Between, str]) -> None:
    """It costs one use, which is told as lost and not as a mistake; the door then connects anew."""
    server, url = between
    with closing(open_door(url, BUDGET_TABLES)) as door:
        assert door.run(standing("k", "2026-11")) == (0, 0)
        server.says_goodbye = True
        assert door.run(standing("k", "2026-11")) == (0, 0)
        assert not server.says_goodbye
        with pytest.raises(ConnectionError, match="database failed"):
            door.run(settle("a call", 3))
        assert door.run(settle("a call", 3)) is False
        assert server.accepted == 2
