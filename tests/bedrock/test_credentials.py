"""Where AWS keys, region and endpoint come from, and that looking for them never holds the loop."""

from __future__ import annotations

import asyncio
import importlib.abc
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from blockbuster import blockbuster_ctx

from asynccache.errors import ConfigurationError, InvalidRequestError, MissingCredentialsError
from asynccache.providers.bedrock.credentials import (
    Asked,
    Bearer,
    Chain,
    Keys,
    address_of,
    in_region,
    region_of,
    regional_address,
    told_auth,
)
from asynccache.secret import Secret
from tests.waiting import soon

pytestmark = pytest.mark.anyio

_ENV_KEYS = {
    "AWS_ACCESS_KEY_ID": "env-id",
    "AWS_SECRET_ACCESS_KEY": "env-secret",
    "AWS_SESSION_TOKEN": "env-token",
}
_BEARER = {"AWS_BEARER_TOKEN_BEDROCK": "env-bearer"}


def secrets(auth: object) -> tuple[str | None, ...]:
    """What keys say once revealed."""
    if type(auth) is Bearer:
        return (auth.token.reveal(),)
    assert type(auth) is Keys
    return auth.access_key.reveal(), auth.secret_key.reveal(), auth.token.reveal() if auth.token else None


@pytest.mark.parametrize(
    ("asked", "environ", "want"),
    [
        ({"api_key": "key", "access_key": "id", "secret_key": "secret"}, _ENV_KEYS | _BEARER, ("key",)),
        (
            {"access_key": "id", "secret_key": "secret", "session_token": "tok"},
            _ENV_KEYS | _BEARER,
            ("id", "secret", "tok"),
        ),
        ({"access_key": "id", "secret_key": "secret"}, _ENV_KEYS, ("id", "secret", None)),
        ({}, _ENV_KEYS | _BEARER, ("env-bearer",)),
        ({}, _ENV_KEYS, ("env-id", "env-secret", "env-token")),
    ],
)
def test_the_order_of_told_keys(
    asked: dict[str, str], environ: dict[str, str], want: tuple[str, ...]
) -> None:
    """The call's own key, its key pair, the environment's bearer token, its key pair: the first there is."""
    assert (
        secrets(told_auth(Asked(**{name: Secret(value) for name, value in asked.items()}), environ)) == want
    )


@pytest.mark.parametrize(("asked", "environ"), [(Asked(), {}), (Asked(profile="p"), _ENV_KEYS | _BEARER)])
def test_the_chain_is_for_the_rest(asked: Asked, environ: dict[str, str]) -> None:
    """Nothing told, or a profile named in the call, is the chain's business."""
    assert told_auth(asked, environ) is None


@pytest.mark.parametrize(
    ("asked", "environ"),
    [
        (Asked(access_key=Secret("id")), _ENV_KEYS),
        (Asked(secret_key=Secret("secret")), _ENV_KEYS),
        (Asked(), {"AWS_ACCESS_KEY_ID": "id"}),
    ],
)
def test_half_a_pair_is_refused(asked: Asked, environ: dict[str, str]) -> None:
    """Half a key pair is never completed from elsewhere."""
    with pytest.raises(MissingCredentialsError, match=r"both"):
        told_auth(asked, environ)


_ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-6"


@pytest.mark.parametrize(
    ("asked", "model", "environ", "want"),
    [
        (Asked(region="a"), _ARN, {"AWS_REGION": "b", "AWS_DEFAULT_REGION": "c"}, "a"),
        (Asked(), _ARN, {"AWS_REGION": "b"}, "eu-west-1"),
        (Asked(), "m-v1:0", {"AWS_REGION": "b", "AWS_DEFAULT_REGION": "c"}, "b"),
        (Asked(), "m-v1:0", {"AWS_DEFAULT_REGION": "c"}, "c"),
        (
            Asked(endpoint="https://bedrock-runtime.ap-south-1.amazonaws.com"),
            "m",
            {"AWS_REGION": "b"},
            "ap-south-1",
        ),
        (Asked(endpoint="http://localhost:1"), "m", {"AWS_REGION": "b"}, "b"),
        (Asked(profile="p"), "m", {"AWS_REGION": "b"}, "b"),
        (Asked(), "m-v1:0", {}, None),
    ],
)
def test_region(asked: Asked, model: str, environ: dict[str, str], want: str | None) -> None:
    """The call's region (or its ARN's), `AWS_REGION`, `AWS_DEFAULT_REGION`, else the profile is asked."""
    assert region_of(asked, model, environ) == want


@pytest.mark.parametrize(
    ("asked", "region", "environ", "want"),
    [
        (Asked(endpoint="http://a/x/"), "r", {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://b"}, "http://a/x"),
        (
            Asked(),
            "r",
            {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://b/", "AWS_ENDPOINT_URL": "http://c"},
            "http://b",
        ),
        (Asked(), "r", {"AWS_ENDPOINT_URL": "http://c"}, "http://c"),
        (Asked(), "us-east-1", {}, "https://bedrock-runtime.us-east-1.amazonaws.com"),
        (Asked(), "us-gov-west-1", {}, "https://bedrock-runtime.us-gov-west-1.amazonaws.com"),
        (Asked(), "cn-north-1", {}, "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_endpoint(asked: Asked, region: str, environ: dict[str, str], want: str) -> None:
    """The call's address, the environment's, else the region's own."""
    assert address_of(asked, region, environ) == want


def test_a_region_that_is_still_to_be_found() -> None:
    """Where only the profile knows the region its place in the address is kept, and filled later."""
    address = address_of(Asked(), None, {})
    assert in_region(address + "/model/m/converse", "cn-north-1") == (
        "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/m/converse"
    )
    assert in_region("http://mine/model/m/converse", "us-east-1") == "http://mine/model/m/converse"


@pytest.mark.parametrize("given", ["ftp://a", "bedrock", "https://user:secret@host"])
def test_what_is_no_address_is_refused(given: str) -> None:
    """Neither another scheme, nor a bare word, nor an address with a password in it is asked."""
    with pytest.raises(InvalidRequestError, match="no address"):
        address_of(Asked(endpoint=given), "us-east-1", {})


def test_what_is_no_region_is_refused() -> None:
    """A region that could lead the request to another host is not put into an address."""
    with pytest.raises(ConfigurationError, match="no AWS region"):
        regional_address("evil.example/#")


@pytest.fixture
def aws_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AWS configuration of our own; no instance metadata, no keys of whoever runs the tests."""
    pytest.importorskip("botocore.session")
    for name in (
        *_ENV_KEYS,
        *_BEARER,
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_DEFAULT_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def process_profile(home: Path, *, seconds: float, lifetime: float) -> Path:
    """A profile whose keys a program prints after *seconds*, good for *lifetime* seconds; answers its log."""
    log = home / "asked.log"
    script = home / "keys.py"
    script.write_text(
        "import datetime, json, pathlib, time\n"
        f"log = pathlib.Path({str(log)!r})\n"
        "number = len(log.read_text()) if log.exists() else 0\n"
        "log.write_text('x' * (number + 1))\n"
        f"time.sleep({seconds})\n"
        f"ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds={lifetime})\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'AKID{number}', 'SecretAccessKey': 'secret',\n"
        "  'SessionToken': 'token', 'Expiration': ends.isoformat()}))\n"
    )
    (home / "config").write_text(
        f"[profile slow]\nregion = eu-north-1\ncredential_process = {sys.executable} -S {script}\n"
    )
    return log


async def test_profile_keys_and_region(aws_home: Path) -> None:
    """A profile's keys and its region come from botocore's chain."""
    (aws_home / "credentials").write_text(
        "[work]\naws_access_key_id = file-id\naws_secret_access_key = file-secret\n"
    )
    (aws_home / "config").write_text("[profile work]\nregion = ap-south-1\n")
    chain = Chain("work")
    assert secrets(await chain.keys()) == ("file-id", "file-secret", None)
    assert await chain.region() == "ap-south-1"
    assert await chain.keys() is await chain.keys()


async def test_a_profile_that_is_not_there(aws_home: Path) -> None:
    """A missing profile is a typed error that names it, each time it is asked for."""
    chain = Chain("nowhere")
    for _ in range(2):
        with pytest.raises(MissingCredentialsError, match="nowhere"):
            await chain.keys()
    with pytest.raises(ConfigurationError, match="nowhere"):
        await chain.region()


async def test_nothing_found(aws_home: Path) -> None:
    """With the extra and nothing configured the one line names the variables and the profile."""
    with pytest.raises(
        MissingCredentialsError, match=r"AWS_BEARER_TOKEN_BEDROCK.*configure a profile"
    ) as missing:
        await Chain().keys()
    assert "\n" not in str(missing.value)
    with pytest.raises(ConfigurationError, match="no AWS region"):
        await Chain().region()


async def test_nothing_found_and_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without botocore the one line names both remedies: the variables and the extra."""
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(MissingCredentialsError, match=r"AWS_ACCESS_KEY_ID.*asynccache\[bedrock\]") as missing:
        await Chain().keys()
    assert "\n" not in str(missing.value)


async def test_no_region_and_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that is refused, in whatever way, is no region and no crash."""

    class Refuse(importlib.abc.MetaPathFinder):
        def find_spec(self, fullname: str, *_: Any) -> None:
            if fullname.partition(".")[0] == "botocore":
                raise ImportError(fullname)

    for name in [name for name in sys.modules if name.partition(".")[0] == "botocore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Refuse(), *sys.meta_path])
    with pytest.raises(ConfigurationError, match="no AWS region: pass aws_region_name="):
        await Chain().region()


async def test_a_login_that_ended_names_the_remedy(aws_home: Path) -> None:
    """A profile of SSO without a token says what to run."""
    (aws_home / "config").write_text(
        "[profile sso]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n"
        "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://127.0.0.1:1/start\n"
    )
    with pytest.raises(MissingCredentialsError, match="log in with 'aws sso login --profile sso'"):
        await Chain("sso").keys()


async def test_one_caller_asks_for_all(aws_home: Path) -> None:
    """Fifty calls at once that find no keys have the chain asked once."""
    log = process_profile(aws_home, seconds=0.1, lifetime=3600)
    chain = Chain("slow")
    found: list[Keys] = []

    async def call() -> None:
        found.append(await chain.keys())

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(call)
    assert log.read_text() == "x"
    assert len(set(found)) == 1


async def busiest(done: anyio.Event) -> float:
    """The most seconds of processor time that the loop's thread used between two turns, 5 ms apart, until *done*."""
    most = 0.0
    while not done.is_set():
        before = time.thread_time()
        await asyncio.sleep(0.005)
        most = max(most, time.thread_time() - before)
    return most


async def test_a_slow_refresh_does_not_hold_the_loop(aws_home: Path) -> None:
    """While keys are fetched for two seconds the loop's thread neither waits for them nor works 20 ms on them at once."""
    log = process_profile(aws_home, seconds=2, lifetime=3600)
    for tries in range(1, 4):  # a collection of the whole process's memory may fall into one of them
        most: list[float] = []
        done = anyio.Event()

        async def other(most: list[float], done: anyio.Event) -> None:
            most.append(await busiest(done))

        before = time.perf_counter()
        with blockbuster_ctx():  # to wait, by any call of the system, is an error
            async with anyio.create_task_group() as group:
                group.start_soon(other, most, done)
                await Chain("slow").keys()
                done.set()
        assert time.perf_counter() - before > 1.9
        assert log.read_text() == "x" * tries
        if most[0] < 0.020:
            break
    assert most[0] < 0.020, f"busy for {most[0] * 1000:.1f} ms"


async def test_old_keys_serve_while_new_ones_come(aws_home: Path) -> None:
    """In the last quarter of an hour one caller renews, the others go on with the old keys at once."""
    process_profile(aws_home, seconds=1.5, lifetime=12 * 60)  # renewal is due, but not urgent
    chain = Chain("slow")
    first = await chain.keys()
    chain._tried = -1e9  # the pause after a renewal is over
    async with anyio.create_task_group() as group:
        group.start_soon(chain.keys)
        await asyncio.sleep(0.05)
        other = asyncio.ensure_future(chain.keys())
        await soon(other.done, within=0.1)
        assert other.result() is first
    assert await chain.keys() != first


async def test_a_renewal_that_brings_nothing_is_not_tried_at_once_again(aws_home: Path) -> None:
    """Keys that stay short-lived are asked for once in a while, not once per call."""
    log = process_profile(aws_home, seconds=0, lifetime=12 * 60)
    chain = Chain("slow")
    await chain.keys()
    asked = log.read_text()
    for _ in range(5):
        await chain.keys()
    assert log.read_text() == asked


async def test_forgotten_keys_are_asked_for_anew(aws_home: Path) -> None:
    """After AWS called keys expired the next call gets new ones, once."""
    log = process_profile(aws_home, seconds=0, lifetime=3600)
    chain = Chain("slow")
    first = await chain.keys()
    chain.forget()
    second = await chain.keys()
    assert secrets(first)[0] != secrets(second)[0]
    assert await chain.keys() is second
    assert log.read_text() == "xx"


async def test_a_refresh_that_fails_is_typed(aws_home: Path) -> None:
    """Keys that are about to end and cannot be renewed give one typed error that says why."""
    process_profile(aws_home, seconds=0, lifetime=60)
    chain = Chain("slow")
    await chain.keys()
    (aws_home / "keys.py").write_text("raise SystemExit('the vault is shut')\n")
    with pytest.raises(MissingCredentialsError, match="the vault is shut"):
        await chain.keys()


async def test_a_cancelled_caller_leaves_at_once(aws_home: Path) -> None:
    """A call that gives up does not wait for the chain; the next one still gets keys."""
    process_profile(aws_home, seconds=1.5, lifetime=3600)
    chain = Chain("slow")
    asked = asyncio.ensure_future(chain.keys())
    await asyncio.sleep(0.05)
    asked.cancel()
    await soon(asked.done, within=0.25)
    assert asked.cancelled()
    assert (await chain.keys()).token is not None
