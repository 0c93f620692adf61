"""Keys of callers' own: made once, kept as digests, and one answer for every kind of wrong one."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sqlite3
import statistics
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from asynccache.errors import AuthenticationError
from asynccache.proxy.audit import Audit
from asynccache.proxy.config import parse_config
from asynccache.proxy.gate import Gate
from asynccache.proxy.routes import ROUTES
from asynccache.proxy.settings import Config
from asynccache.proxy.virtual_keys import KeyRing, digest_of, new_key
from asynccache.proxy.yaml_source import ConfigError, parse_yaml
from asynccache.secret import Secret
from asynccache.usage.ledger_keys import Key, Rights
from asynccache.usage.ledger_report import summarize
from tests.cli.command import run
from tests.proxy.serving import KEY
from tests.proxy.upstream import Upstream
from tests.waiting import until

from .guarded import HELLO, guarded, make_key

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def kept(key: str, key_id: str = "team", *, revoked: bool = False, expires: datetime | None = None) -> Key:
    rights = Rights(models=("m",), expires=expires)
    return Key(id=key_id, digest=digest_of(key), rights=rights, revoked=NOW if revoked else None)


def test_a_key_cannot_be_guessed() -> None:
    """``ac-`` and 32 random bytes in base64url."""
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert key.startswith("ac-")
        assert len(key) == 3 + 43
        assert set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_a_ring_of_keys() -> None:
    """Good keys are found; what is revoked, expired, cut or unknown is not; the last one revoked opens nothing."""
    now = [NOW.timestamp()]
    ring = KeyRing(lambda: now[0])
    assert not ring.is_locked
    good, bad, late = new_key(), new_key(), new_key()
    stored = [
        kept(good),
        kept(bad, "bad", revoked=True),
        kept(late, "late", expires=NOW + timedelta(seconds=5)),
    ]
    ring.load(stored)
    ring.use([], Secret("the master"))
    for key, found in ((good, "team"), (late, "late"), ("the master", "master")):
        assert (ring.find(key) or kept("", "")).id == found
    for wrong in (bad, good[:-1], good + "A", good.upper(), "", "ac-", "\udcff", new_key(), f" {good}"):
        assert ring.find(wrong) is None
    now[0] += 5
    assert ring.find(late) is None
    assert tuple(ring.retired(digest_of(key)) for key in (late, bad, good)) == ("late", "bad", None)
    ring.use([], None)
    ring.load([kept(good, revoked=True)])
    assert ring.find(good) is None
    assert ring.is_locked


async def test_from_the_command_line_to_a_call(where: str, provider: Upstream) -> None:
    """A key is made, shown once, listed without it, works, is labelled in the ledger, and is refused once revoked."""
    made = await asyncio.to_thread(
        run, "keys", "create", where, "--id", "team-a", "--model", "m", "--budget", "5"
    )
    assert (made.returncode, "team-a" in made.stderr) == (0, True)
    key = made.stdout.strip()
    again = await asyncio.to_thread(run, "keys", "create", where, "--id", "team-a", "--model", "m")
    assert (again.returncode, again.stdout) == (1, "")
    async with guarded(provider, where, master=False) as proxy:
        assert (await proxy.post(key))[0] == 200
        second = await asyncio.to_thread(run, "keys", "create", where, "--id", "b", "--model", "m")
        revoked = await asyncio.to_thread(run, "keys", "revoke", where, "team-a")
        assert revoked.returncode == 0
        ring = proxy.gate.ring  # the proxy reads the keys once a second
        await until(lambda: ring.find(key) is None and ring.find(second.stdout.strip()) is not None)
        assert (await proxy.post(key))[0] == 401
        assert (await proxy.post(second.stdout.strip()))[0] == 200
        assert (await proxy.post(""))[0] == 401
    listed = await asyncio.to_thread(run, "keys", "list", where, "--json")
    rows = {row["id"]: row for row in json.loads(listed.stdout)["keys"]}
    assert (rows["team-a"]["state"], rows["team-a"]["spent"], rows["b"]["state"]) == (
        "revoked",
        "0.01",
        "good",
    )
    table = await asyncio.to_thread(run, "keys", "list", where)
    assert "team-a" in table.stdout
    for text in (listed.stdout, table.stdout, revoked.stderr, again.stderr, made.stderr):
        assert key[3:] not in text
    assert (await asyncio.to_thread(run, "keys", "revoke", where, "team-a")).returncode == 1
    by_key = {group.by["key"]: group.calls for group in await asyncio.to_thread(summarize, where, ["key"])}
    assert by_key == {"team-a": 1, "b": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--model", "m", "--budget", "0"),
        ("--model", "m", "--budget", "many"),
        ("--model", "m", "--rpm", "0"),
        ("--model", "m", "--expires", "2020-01-01"),
        ("--model", "m", "--expires", "soon"),
        ("--model", "m", "--id", "master"),
        ("--model", "m", "--id", "a b"),
        ("--model", "m", "--model", "*"),
        ("--model", "m", "--per", "day"),
        (),
    ],
)
def test_create_refuses(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A right that cannot be meant makes no key."""
    done = run("keys", "create", str(tmp_path / "ledger.db"), *arguments)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_ledger_that_is_not_there(tmp_path: Path) -> None:
    """A slip in its name makes no empty database, and says whose name it is."""
    where = tmp_path / "slip.db"
    for arguments in (("list", str(where)), ("revoke", str(where), "team")):
        done = run("keys", *arguments)
        assert (done.returncode, "there is no ledger" in done.stderr) == (1, True)
    assert not where.exists()
    first, second = (run("keys", "create", str(where), "--model", "m") for _ in range(2))
    assert f"there was no ledger {where}; now there is" in first.stderr
    assert "there was no ledger" not in second.stderr


def test_what_is_not_counted_is_no_zero(tmp_path: Path) -> None:
    """A key without a budget shows no amount spent, rather than none."""
    where = str(tmp_path / "ledger.db")
    assert run("keys", "create", where, "--id", "free", "--model", "m").returncode == 0
    [row] = json.loads(run("keys", "list", where, "--json").stdout)["keys"]
    assert (row["budget"], row["spent"], row["held"]) == (None, None, None)
    assert run("keys", "list", where).stdout.splitlines()[1].split()[-3:] == ["-", "-", "-"]


def test_create_for_a_configuration(tmp_path: Path) -> None:
    """Without a ledger the row that is printed, pasted into a configuration, lets the key in."""
    arguments = ("--model", "m", "--rpm", "5", "--budget", "2.5", "--expires", "30d", "--per", "day")
    made = run("keys", "create", *arguments)
    config = parse_config(parse_yaml(f"{made.stderr}  ledger: x.db\n".encode(), "c.yaml", {}), {})
    ring = KeyRing()
    ring.use(config.keys, None)
    found = ring.find(made.stdout.strip())
    assert found is not None
    assert (found.rights.models, found.rights.rpm, str(found.rights.budget)) == (("m",), 5, "2.5")
    assert found.rights.period == "day"


ROW = "asynccache_settings:\n  keys:\n  - id: a\n    key: os.environ/TEAM\n    models: [m]\n"


def test_configured_keys() -> None:
    """A key may come from the environment, a day may be written as a day; neither the key nor its text is kept."""
    key = new_key()
    config = parse_config(parse_yaml(f"{ROW}    expires: 2030-01-31\n".encode(), "c.yaml", {"TEAM": key}), {})
    assert config.keys[0].rights.expires == datetime(2030, 1, 31, tzinfo=UTC)
    assert config.keys[0].digest == digest_of(key)
    assert key not in repr(config)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("    rpm: 0\n", "c.yaml:6: asynccache_settings.keys[0].rpm: 0 is no limit"),
        ("    rpm: many\n", "c.yaml:6: asynccache_settings.keys[0].rpm: expected `int | null`, got `str`"),
        ("    rpms: 5\n", "c.yaml:6: asynccache_settings.keys[0].rpms: no such key; did you mean 'rpm'?"),
        ("    period: year\n", "c.yaml:6: asynccache_settings.keys[0].period: invalid enum value 'year'"),
        ("    sha256: abc\n", "needs either sha256 or key"),
        ('  - id: a\n    sha256: "' + "0" * 64 + '"\n    models: [m]\n', "has the same id as another"),
        ("  - id: b\n    key: os.environ/TEAM\n    models: [m]\n", "has the same key as another"),
        ("  - id: b\n    sha256: xyz\n    models: [m]\n", "is not 64 hexadecimal digits"),
        ("  - id: b\n    key: short\n    models: [m]\n", "has fewer than 32 characters"),
        ('  - id: b\n    sha256: "' + "0" * 64 + '"\n', "has no models"),
        ('  - id: b\n    sha256: "' + "0" * 64 + "\"\n    models: [m, '*']\n", "'*' stands alone"),
        ('  - id: master\n    sha256: "' + "0" * 64 + '"\n    models: [m]\n', "'master' is taken"),
        ("  - 5\n", "is not a mapping"),
    ],
)
def test_configured_keys_that_are_refused(more: str, told: str) -> None:
    """Every refusal names file, line and path; none shows the key."""
    key = new_key()
    with pytest.raises(ConfigError) as error:
        parse_config(parse_yaml((ROW + more).encode(), "c.yaml", {"TEAM": key}), {})
    assert told in error.value.message
    assert key not in error.value.message


async def test_a_key_of_a_later_version_is_refused(provider: Upstream, tmp_path: Path) -> None:
    """Rights that cannot be read let nobody in, and shut nobody else out."""
    where = str(tmp_path / "ledger.db")
    good, strange = make_key(where), make_key(where, "strange")
    with closing(sqlite3.connect(where, isolation_level=None)) as db:
        db.execute(
            """UPDATE asynccache_keys SET rights = '{"models":["m"],"mood":1}' WHERE key_id = 'strange'"""
        )
    async with guarded(provider, where) as proxy:
        assert (await proxy.post(good))[0] == 200
        assert (await proxy.post(strange))[0] == 401


async def test_models_are_exact(provider: Upstream, tmp_path: Path) -> None:
    """A key asks for the names it was given, letter by letter; whether another is served it is not told."""
    where = str(tmp_path / "ledger.db")
    some, every = make_key(where), make_key(where, "every", models=("*",))
    async with guarded(provider, where) as proxy:
        for model in ("M", "m ", "gpt", "*", "m*", ""):
            for path in (
                "/v1/chat/completions",
                "/v1/messages",
                "/v1/messages/count_tokens",
                "/v1/responses",
            ):
                status, answer, _ = await proxy.post(some, path, model=model)
                assert status == 403
                assert "may not ask for the model" in answer["error"]["message"]
        assert provider.bodies == []
        assert (await proxy.post(some))[0] == 200
        assert (await proxy.post(every))[0] == 200
        assert (await proxy.post(every, model="gpt"))[0] == 404


async def test_every_route_is_shut_to_every_wrong_key(provider: Upstream, tmp_path: Path) -> None:
    """Missing, malformed, unknown, revoked and expired keys: byte for byte one answer, on every route there is."""
    where = str(tmp_path / "ledger.db")
    good, old = make_key(where), new_key()
    late = make_key(where, "late", expires=datetime.now(UTC) + timedelta(seconds=0.05))
    assert run("keys", "create", where, "--id", "old", "--model", "m").returncode == 0
    old = run("keys", "create", where, "--id", "older", "--model", "m").stdout.strip()
    assert run("keys", "revoke", where, "older").returncode == 0
    wrong = {
        "missing": "",
        "malformed": "x",
        "unknown": new_key(),
        "revoked": old,
        "expired": late,
        "cut": good[:-1],
    }
    told: set[tuple[Any, ...]] = set()
    async with guarded(provider, where) as proxy, aiohttp.ClientSession() as session:
        for method, path in (
            *ROUTES,
            ("GET", "/ui"),
            ("POST", "/keys"),
            ("GET", "/metrics"),
            ("PUT", "/v1/models"),
        ):
            for key in wrong.values():
                sent = {"authorization": f"Bearer {key}"} if key else {}
                body = json.dumps(HELLO) if method == "POST" else None
                async with session.request(method, proxy.url(path), headers=sent, data=body) as answer:
                    if (path in ROUTES and ROUTES[method, path].open) or path == "/healthz":
                        assert answer.status == 200
                        continue
                    assert answer.status == 401
                    error = (await answer.json())["error"]
                    names = frozenset(answer.headers) - {"Date"}
                    told.add((error["message"], answer.headers.get("www-authenticate"), names))
    assert len(told) == 1
    assert provider.bodies == []


def welch(one: list[float], other: list[float]) -> float:
    """Welch's t of two samples."""
    spread = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.fmean(one) - statistics.fmean(other)) / spread**0.5


def trimmed(times: list[float]) -> list[float]:
    """Without the slowest twentieth: another process on the machine, not the work."""
    return sorted(times)[: len(times) * 19 // 20]


@pytest.mark.slow  # it decides by a clock, which a busy machine spoils: pytest -m slow tests/proxy_keys
@pytest.mark.parametrize("audited", [False, True])
def test_wrong_keys_take_the_same_time(audited: bool, tmp_path: Path) -> None:
    """20 000 tries with unknown, revoked, expired and nearly right keys: Welch's |t| < 4.5 for each kind.

    Measured inside the process, around the very check that the server makes (header, hash, look-up,
    comparison, refusal), where no network hides a difference. Every kind has a thousand keys of one length,
    each tried five times, all mixed: where in the table a single key happens to fall is chance, and no
    secret. A machine that is busy with other things gets more tries: a real difference shows in all.
    """
    audit = Audit(tmp_path / "audit.jsonl") if audited else None
    gate = Gate(audit=audit)
    gate.use(Config(master_key=Secret(KEY)))
    past = datetime.now(UTC) - timedelta(days=1)
    wrong = {kind: [new_key() for _ in range(1000)] for kind in ("unknown", "revoked", "expired", "near")}
    good = [kept(key, f"g{place}") for place, key in enumerate(wrong["near"])]
    wrong["near"] = [key[:-2] + ("AA" if key[-2:] != "AA" else "BB") for key in wrong["near"]]
    revoked = [kept(key, f"r{place}", revoked=True) for place, key in enumerate(wrong["revoked"])]
    expired = [kept(key, f"e{place}", expires=past) for place, key in enumerate(wrong["expired"])]
    gate.ring.load([*good, *revoked, *expired])
    try:
        for _ in range(4):
            found = {kind: trimmed(times) for kind, times in tries(gate, wrong).items()}
            told = {
                kind: welch(found["unknown"], times) for kind, times in found.items() if kind != "unknown"
            }
            if max(map(abs, told.values())) < 4.5:
                return
        pytest.fail(f"t = {told}")
    finally:
        if audit is not None:
            audit.close()


def tries(gate: Gate, wrong: dict[str, list[str]]) -> dict[str, list[float]]:
    """Seconds of each refusal by kind; all headers are made before the first is tried."""
    brought = [
        (kind, {"authorization": f"Bearer {key}"})
        for kind, keys in wrong.items()
        for key in keys
        for _ in range(5)
    ]
    random.shuffle(brought)
    assert len(brought) == 20_000
    found: dict[str, list[float]] = {kind: [] for kind in wrong}
    clock = time.perf_counter
    gc.collect()
    gc.disable()
    try:
        for kind, headers in brought:
            began = clock()
            try:
                gate.admit(headers)
            except AuthenticationError:
                ended = clock()
                found[kind].append(ended - began)
    finally:
        gc.enable()
    assert all(len(times) == 5000 for times in found.values())
    return found
