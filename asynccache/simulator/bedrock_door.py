"""The door of simulated AWS: signatures are worked out again, and errors carry their type in a header.

The secret of any access key K is `secret-of-K`; a bearer key is taken unless it begins with `invalid` or `bad`.
A session token that begins with `expired` has expired. Written from AWS's description of Signature Version 4,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

from __future__ import annotations

import hmac
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from aiohttp import web

from .loose import obj

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

PREFIX = "/bedrock/"
SECRET_OF = "secret-of-"  # noqa: S105 - of keys that open nothing

_SKEW = timedelta(minutes=5)
_DATE = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<names>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)

# status -> x-amzn-ErrorType, botocore's bedrock-runtime/2023-09-30
_TYPES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_WHERE = ":http://internal.amazon.com/coral/com.amazon.bedrock/"

# Anthropic's count -> the header of InvokeModel that tells it too
_COUNTS = {
    "input_tokens": "X-Amzn-Bedrock-Input-Token-Count",
    "output_tokens": "X-Amzn-Bedrock-Output-Token-Count",
    "cache_read_input_tokens": "X-Amzn-Bedrock-Cache-Read-Input-Token-Count",
    "cache_creation_input_tokens": "X-Amzn-Bedrock-Cache-Write-Input-Token-Count",
}


class NotLetInError(Exception):
    """Who asks has not proved it; the first argument is AWS's type for it, the second its words."""


def install(app: web.Application) -> None:
    """Guards every path of Bedrock's."""
    app.middlewares.append(_guard)
    app.on_response_prepare.append(_label)


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if not request.path.startswith(PREFIX):
        return await handler(request)
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return await handler(request)  # which says so in its own words
    try:
        check(request.headers, request.raw_path, body, datetime.now(UTC))
    except NotLetInError as refused:
        kind, message = refused.args
        return web.json_response(
            {"message": message}, status=403, headers={"x-amzn-ErrorType": kind + _WHERE}
        )
    return await handler(request)


async def _label(request: web.Request, response: web.StreamResponse) -> None:
    """What AWS says in headers: the type of an error, the counts of an answer that is not streamed."""
    if not request.path.startswith(PREFIX) or not isinstance(response, web.Response):
        return
    told: dict[str, Any] = {}
    if isinstance(response.body, bytes) and response.body:
        with suppress(orjson.JSONDecodeError):  # a scenario may want it so
            told = obj(orjson.loads(response.body))
    if response.status >= 400:
        kind = told.get("__type") or _TYPES.get(response.status, "InternalServerException")
        response.headers.setdefault("x-amzn-ErrorType", f"{kind}{_WHERE}")
    elif request.path.endswith("/invoke"):
        usage = obj(told.get("usage"))
        for name, header in _COUNTS.items():
            if name in usage:
                response.headers[header] = str(usage[name])


def account(headers: Mapping[str, str]) -> str:
    """Whose cache it is: of the access key or of the bearer key, whatever the signature."""
    told = headers.get("authorization", "")
    signed = _AUTHORIZATION.match(told)
    return sha256((signed["key"] if signed else told).encode()).hexdigest()[:12]


def check(headers: Mapping[str, str], path: str, body: bytes, now: datetime) -> None:
    """Whether the one who asks is who he says.

    Raises:
        NotLetInError: he is not.
    """
    told = headers.get("authorization")
    if not told:
        raise NotLetInError("MissingAuthenticationTokenException", "Missing Authentication Token")
    if told.lower().startswith("bearer "):
        if told[7:].strip().lower().startswith(("invalid", "bad")):
            raise NotLetInError(
                "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid."
            )
        return
    signed = _AUTHORIZATION.fullmatch(told)
    if signed is None:
        raise NotLetInError(
            "IncompleteSignatureException", f"Authorization header is not of AWS4-HMAC-SHA256: {told[:20]}"
        )
    if headers.get("x-amz-security-token", "").startswith("expired"):
        raise NotLetInError("ExpiredTokenException", "The security token included in the request is expired")
    if signed["key"].lower().startswith(("invalid", "bad")):
        raise NotLetInError(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
    _check_date(headers.get("x-amz-date", ""), now)
    _check_signature(signed, headers, path, body)


def _check_date(date: str, now: datetime) -> None:
    try:
        at = datetime.strptime(date, _DATE).replace(tzinfo=UTC)
    except ValueError:
        raise NotLetInError(
            "IncompleteSignatureException", f"Date must be ISO-8601 basic, got {date!r}"
        ) from None
    if at < now - _SKEW:
        limit = now - _SKEW
        message = f"Signature expired: {date} is now earlier than {limit:{_DATE}} ({now:{_DATE}} - 5 min.)"
        raise NotLetInError("InvalidSignatureException", message)
    if at > now + _SKEW:
        message = f"Signature not yet current: {date} is still later than {now + _SKEW:{_DATE}} ({now:{_DATE}} + 5 min.)"
        raise NotLetInError("InvalidSignatureException", message)


def _check_signature(signed: re.Match[str], headers: Mapping[str, str], path: str, body: bytes) -> None:
    if signed["service"] != "bedrock":
        message = f"Credential should be scoped to correct service: 'bedrock', not {signed['service']!r}."
        raise NotLetInError("InvalidSignatureException", message)
    names = signed["names"].split(";")
    if "host" not in names or any(name not in headers for name in names):
        raise NotLetInError(
            "InvalidSignatureException", "SignedHeaders names a header that did not arrive, or not host."
        )
    place, _, query = path.partition("?")
    request = "\n".join(
        [
            "POST",
            quote(place, safe="/"),
            "&".join(sorted(query.split("&"))) if query else "",
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            "",
            signed["names"],
            sha256(body).hexdigest(),
        ]
    )
    scope = f"{signed['day']}/{signed['region']}/{signed['service']}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    key = f"AWS4{SECRET_OF}{signed['key']}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), sha256).digest()
    if not hmac.compare_digest(key.hex(), signed["signature"]):
        message = (
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        )
        raise NotLetInError("InvalidSignatureException", message)
