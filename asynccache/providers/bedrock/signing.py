"""SigV4: the headers that prove to AWS who sends a request.

The path that is signed is the path that is sent. A model id is percent-encoded once in the URL, completely
(`:` is `%3A`, the `/` of an ARN `%2F`); the canonical request encodes that once more, as AWS does for every
service but S3. The URL must then reach the wire verbatim: `yarl.URL(url, encoded=True)`.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from asynccache.providers.bedrock.credentials import Keys

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Headers that proxies and clients add or change on the way; botocore leaves them out too.
_UNSIGNED = frozenset({"expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"})


class Signer(Protocol):
    """Works out the `Authorization` of a request whose other headers, `X-Amz-Date` among them, stand."""

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes, keys: Keys, scope: Scope, /) -> str: ...


class Scope(Protocol):
    """Where and when a signature holds: what both signers need to know."""

    @property
    def timestamp(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def service(self) -> str: ...
