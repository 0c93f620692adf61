"""SigV4: the headers that prove to AWS who sends a request.

The path that is signed is the path that is sent. A model id is percent-encoded once in the URL, completely
(`:` is `%3A`, the `/` of an ARN `%2F`); the canonical request encodes that once more, as AWS does for every
service but S3. The URL must then reach the wire verbatim: `yarl.URL(url, encoded=True)`.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias, final
from urllib.parse import quote, urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from asynccache.providers.bedrock.credentials import Keys
    from asynccache.secret import Secret

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Headers that a client or a proxy may add or change on the way; botocore leaves them out too.
_UNSIGNED = frozenset(
    [
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    ]
)


@final
class Scope(msgspec.Struct, frozen=True, gc=False):
    """Where and when a signature holds."""

    region: str
    service: str
    timestamp: str  # 20261122T120000Z

    @property
    def credential(self) -> str:
        """The scope as it stands in the signature: date, region, service."""
        return f"{self.timestamp[:8]}/{self.region}/{self.service}/aws4_request"


Signer: TypeAlias = "Callable[[str, Mapping[str, str], bytes, Keys, Scope], str]"


def sign(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: Keys,
    region: str,
    at: datetime,
    service: str = "bedrock",
) -> dict[str, str]:
    """The headers to send with a POST of *body* to *url*: *headers*, the date, the session token, the signature.

    *at* is the time of the request in UTC; AWS refuses what is five minutes off.
    """
    scope = Scope(region, service, at.strftime("%Y%m%dT%H%M%SZ"))
    signed = {name: value for name, value in headers.items() if name.lower() != "authorization"}
    signed["X-Amz-Date"] = scope.timestamp
    if keys.token is not None:
        signed["X-Amz-Security-Token"] = keys.token.reveal()
    signed["Authorization"] = load_signer()(url, signed, body, keys, scope)
    return signed


@cache
def load_signer() -> Signer:
    """Botocore's signer where botocore is installed, ours where it is not.

    The first call imports botocore, which takes a tenth of a second: make it in a worker thread.
    """
    try:
        import_module("botocore.auth")
        import_module("botocore.awsrequest")
    except ImportError:
        return own_signature
    return botocore_signature


def own_signature(url: str, headers: Mapping[str, str], body: bytes, keys: Keys, scope: Scope, /) -> str:
    """The value of `Authorization`, by the standard library alone."""
    names, canonical = canonical_request(url, headers, body)
    text = f"{_ALGORITHM}\n{scope.timestamp}\n{scope.credential}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = _signing_key(keys.secret_key, scope.timestamp[:8], scope.region, scope.service)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return _authorization(keys, scope, names, signature)


@lru_cache(maxsize=32)
def _signing_key(secret_key: Secret, day: str, region: str, service: str) -> bytes:
    """What signs all of a day's requests to one service of one region."""
    key = f"AWS4{secret_key.reveal()}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def botocore_signature(url: str, headers: Mapping[str, str], body: bytes, keys: Keys, scope: Scope, /) -> str:
    """The value of `Authorization`, by the steps that botocore's own `add_auth` takes.

    `add_auth` itself reads the clock; the time is ours here, so that a skewed clock can be made good for.
    """
    auth_module = import_module("botocore.auth")  # untyped, and so taken as Any
    token = keys.token.reveal() if keys.token is not None else None
    credentials = import_module("botocore.credentials").Credentials(
        keys.access_key.reveal(), keys.secret_key.reveal(), token
    )
    auth = auth_module.SigV4Auth(credentials, scope.service, scope.region)
    request = import_module("botocore.awsrequest").AWSRequest(
        method="POST", url=url, data=body, headers=dict(headers)
    )
    request.context["timestamp"] = scope.timestamp
    canonical = auth.canonical_request(request)
    names = canonical.rsplit("\n", 2)[1]  # to have them made anew takes a sixth of all the time here
    text = auth.string_to_sign(request, canonical)
    return _authorization(keys, scope, names, auth.signature(text, request))


def canonical_request(url: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """The names of the signed headers, and the text whose hash is signed."""
    path, query, host = _canonical_address(url)
    by_name = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    by_name.setdefault("host", host)
    signed = sorted(name for name in by_name if name not in _UNSIGNED)
    names = ";".join(signed)
    lines = [
        "POST",
        path,
        query,
        *(f"{name}:{by_name[name]}" for name in signed),
        "",
        names,
        hashlib.sha256(body).hexdigest(),
    ]
    return names, "\n".join(lines)


@lru_cache(maxsize=64)
def _canonical_address(url: str) -> tuple[str, str, str]:
    """Path, query and host of *url*, as they are signed."""
    parts = urlsplit(url)
    pairs = sorted(pair.partition("=") for pair in _pairs(parts.query))
    query = "&".join(f"{name}={value}" for name, _, value in pairs)
    return quote(_without_dots(parts.path), safe="/~"), query, _host(url)


def _authorization(keys: Keys, scope: Scope, names: str, signature: str) -> str:
    credential = f"{keys.access_key.reveal()}/{scope.credential}"
    return f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"


def _pairs(query: str) -> list[str]:
    return query.split("&") if query else []


def _host(url: str) -> str:
    """The `Host` header that goes out with *url*: no user, no default port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


def _without_dots(path: str) -> str:
    """*path* as AWS reads it: no empty, `.` or `..` segments, the last slash kept."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    last = "/" if path.endswith("/") and kept else ""
    return "/" + "/".join(kept) + last
