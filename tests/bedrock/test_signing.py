"""SigV4: our signer and botocore's give the signatures of the recorded vectors, and always the same ones."""

from __future__ import annotations

import importlib
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from asynccache.providers.bedrock import signing
from asynccache.providers.bedrock.credentials import Keys
from asynccache.providers.bedrock.signing import (
    Scope,
    botocore_signature,
    canonical_request,
    own_signature,
    sign,
)
from asynccache.secret import Secret
from tests.shared import SHARED, requires_shared

_VECTORS: list[dict[str, Any]] = json.loads((SHARED / "vectors/sigv4.json").read_text()) if SHARED else []
KEYS = Keys(Secret("AKIDEXAMPLE"), Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), Secret("TOKEN"))


@requires_shared
@pytest.mark.parametrize("vector", _VECTORS, ids=lambda v: v["service"] + "-" + v["region"])
@pytest.mark.parametrize("signer", ["ours", "botocore's"])
def test_vectors(vector: dict[str, Any], signer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recorded request gets exactly its recorded headers, from either signer."""
    chosen = own_signature if signer == "ours" else botocore_signature
    monkeypatch.setattr(signing, "load_signer", lambda: chosen)
    token = Secret(vector["token"]) if vector["token"] else None
    headers = sign(
        vector["url"],
        vector["request_headers"],
        vector["body"].encode(),
        keys=Keys(Secret(vector["access_key"]), Secret(vector["secret_key"]), token),
        region=vector["region"],
        service=vector["service"],
        at=datetime.strptime(vector["date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
    )
    assert headers == vector["signed_headers"]


@requires_shared
@pytest.mark.parametrize("vector", _VECTORS, ids=lambda v: v["service"] + "-" + v["region"])
def test_canonical_requests(vector: dict[str, Any]) -> None:
    """The text that is signed is the recorded one, its path encoded twice."""
    headers = {name: value for name, value in vector["signed_headers"].items() if name != "Authorization"}
    assert (
        canonical_request(vector["url"], headers, vector["body"].encode())[1] == vector["canonical_request"]
    )


@requires_shared
@pytest.mark.parametrize("vector", _VECTORS, ids=lambda v: v["service"] + "-" + v["region"])
def test_the_signed_path_survives_yarl(vector: dict[str, Any]) -> None:
    """The URL that is signed reaches the wire as it is, `%3A` and all, when yarl takes it as encoded."""
    assert str(URL(vector["url"], encoded=True)) == vector["url"]


_names = st.one_of(
    st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,15}", fullmatch=True),
    st.sampled_from(["TE", "Baggage", "User-Agent"]),
)
_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
_segments = st.text("abcXYZ019-_.~%:$&+,;=@!*'()/ ", max_size=30)
_queries = st.lists(
    st.from_regex(r"[a-zA-Z0-9_.~-]{1,5}(=[a-zA-Z0-9%_.~-]{0,5})?", fullmatch=True), max_size=4
)


def test_headers_that_change_on_the_way_are_not_signed() -> None:
    """Of hop-by-hop and tracing headers neither signer makes the signature depend."""
    pytest.importorskip("botocore")
    from botocore.auth import SIGNED_HEADERS_BLACKLIST

    plain = {"X-Amz-Date": "20261122T120000Z"}
    more = plain | dict.fromkeys(SIGNED_HEADERS_BLACKLIST, "x")
    scope = Scope("r", "bedrock", "20261122T120000Z")
    bare = own_signature("https://h.example/", plain, b"", KEYS, scope)
    assert own_signature("https://h.example/", more, b"", KEYS, scope) == bare
    assert botocore_signature("https://h.example/", more, b"", KEYS, scope) == bare


@given(
    path=_segments,
    query=_queries,
    headers=st.dictionaries(_names, _values, max_size=5),
    body=st.binary(max_size=50),
    host=st.sampled_from(["h.example", "h.example:443", "h.example:8443", "[::1]:9000", "127.0.0.1:80"]),
    scheme=st.sampled_from(["http", "https"]),
    token=st.sampled_from([None, Secret("tok/en+==")]),
)
@settings(max_examples=300, deadline=None)
def test_both_signers_agree(
    path: str,
    query: list[str],
    headers: dict[str, str],
    body: bytes,
    host: str,
    scheme: str,
    token: Secret | None,
) -> None:
    """On any request, odd paths, queries, ports and headers included, our signature is botocore's."""
    pytest.importorskip("botocore")
    lowered = {name.lower(): (name, value) for name, value in headers.items()}
    lowered.pop("host", None)
    lowered.pop(
        "x-amz-content-sha256", None
    )  # botocore takes it for the body's hash; Bedrock does not use it
    url = f"{scheme}://{host}/{path}" + ("?" + "&".join(query) if query else "")
    request = dict(lowered.values()) | {"X-Amz-Date": "20261122T120000Z"}
    keys = Keys(KEYS.access_key, KEYS.secret_key, token)
    scope = Scope("eu-west-1", "bedrock", "20261122T120000Z")
    assert own_signature(url, request, body, keys, scope) == botocore_signature(
        url, request, body, keys, scope
    )


def test_the_signer_is_botocores_where_it_is_installed_and_ours_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the credential chain needs the extra: without botocore requests are signed all the same."""
    importlib.import_module("botocore.auth")
    signing.load_signer.cache_clear()
    assert signing.load_signer() is botocore_signature
    signing.load_signer.cache_clear()
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    assert signing.load_signer() is own_signature
    monkeypatch.undo()
    signing.load_signer.cache_clear()


def test_an_old_signature_is_replaced() -> None:
    """Signing what was signed before leaves one `Authorization`, and no key in sight."""
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    once = sign("https://h.example/x", {"Content-Type": "a"}, b"{}", keys=KEYS, region="r", at=at)
    twice = sign("https://h.example/x", {**once, "authorization": "old"}, b"{}", keys=KEYS, region="r", at=at)
    assert once == twice
    assert "wJalr" not in str(once)


def test_keys_show_in_no_repr() -> None:
    """Neither repr nor str of keys tells any of them."""
    for text in (repr(KEYS), str(KEYS), f"{KEYS}"):
        assert "AKID" not in text
        assert "wJalr" not in text
        assert "TOKEN" not in text
