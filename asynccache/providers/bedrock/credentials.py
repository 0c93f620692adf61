"""Who asks AWS, and where: keys from the call, the environment or botocore's chain; region and endpoint.

In this order: the call's own `api_key` or `aws_access_key_id`; `AWS_BEARER_TOKEN_BEDROCK`; `AWS_ACCESS_KEY_ID`;
then botocore's chain (profiles, SSO, web identity, container, instance metadata), which needs the `bedrock`
extra. The chain reads files and asks servers, so it only ever runs in a worker thread.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias, final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import msgspec

from asynccache.errors import ConfigurationError, InvalidRequestError, MissingCredentialsError
from asynccache.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.request import Request

__all__ = [
    "Asked",
    "Auth",
    "Bearer",
    "Chain",
    "Keys",
    "address_of",
    "ask",
    "in_region",
    "region_of",
    "regional_address",
    "told_auth",
]

# How long before they expire keys are renewed while the old ones still serve, and from when nobody may use them.
# botocore's own figures: https://github.com/boto/botocore/blob/develop/botocore/credentials.py
_MUST_RENEW = 10 * 60
_TRY_AGAIN = 30.0  # seconds after which a renewal that brought nothing is tried again, while there is time

# The domain of the region's partition, by the region's first letters.
# https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
_DOMAINS = (
    ("cn-", "amazonaws.com.cn"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
    ("", "amazonaws.com"),
)

_UNKNOWN_REGION = "https://bedrock-runtime.{region}.amazonaws.com"
_REGION = re.compile(r"[a-z0-9-]+")
_IN_HOST = re.compile(r"\bbedrock-runtime(?:-fips)?\.([a-z]{2,}(?:-[a-z0-9]+)+)\.")

_NOTHING_FOUND = (
    "no AWS credentials: set AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
    "(or pass api_key= or aws_access_key_id=), or {remedy}"
)
_NO_REGION = "no AWS region: pass aws_region_name= or set AWS_REGION"


@final
class Keys(msgspec.Struct, frozen=True, gc=False):
    """AWS keys to sign with; no repr shows them."""

    access_key: Secret
    secret_key: Secret
    token: Secret | None = None


@final
class Bearer(msgspec.Struct, frozen=True, gc=False):
    """A Bedrock API key, sent as it is."""

    token: Secret


Auth: TypeAlias = Keys | Bearer


@final
class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the call itself says about AWS."""

    api_key: Secret | None = None
    access_key: Secret | None = None
    secret_key: Secret | None = None
    session_token: Secret | None = None
    profile: str | None = None
    region: str | None = None
    endpoint: str | None = None


def told_auth(asked: Asked, environ: Mapping[str, str]) -> Auth | None:
    """Keys that the call or the environment tells; None when the chain is to be asked.

    Raises:
        MissingCredentialsError: one half of a pair of keys is there, the other is not.
    """
    if asked.api_key:
        return Bearer(asked.api_key)
    if asked.access_key or asked.secret_key:
        if not (asked.access_key and asked.secret_key):
            raise MissingCredentialsError(
                "aws_access_key_id and aws_secret_access_key belong together: pass both"
            )
        return Keys(asked.access_key, asked.secret_key, asked.session_token)
    if asked.profile:  # a profile named in the call is meant, whatever the environment holds
        return None
    if bearer := environ.get("AWS_BEARER_TOKEN_BEDROCK"):
        return Bearer(Secret(bearer))
    access, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not access:
        return None
    if not secret:
        raise MissingCredentialsError("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not: set both")
    token = environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN")
    return Keys(Secret(access), Secret(secret), Secret(token) if token else None)


def ask(request: Request) -> Asked:
    """What *request* says about AWS."""
    reach = request.reach
    told = reach.options
    return Asked(
        api_key=reach.api_key,
        access_key=_secret(told.get("aws_access_key_id")),
        secret_key=_secret(told.get("aws_secret_access_key")),
        session_token=_secret(told.get("aws_session_token")),
        profile=_text(told.get("aws_profile_name")),
        region=_text(told.get("aws_region_name")),
        endpoint=_text(told.get("aws_bedrock_runtime_endpoint")) or reach.api_base,
    )


def region_of(asked: Asked, model: str, environ: Mapping[str, str]) -> str | None:
    """The region that the call tells (by name, by the model's ARN, by AWS's own address), else the environment's.

    None: the profile is to be asked.
    """
    if asked.region:
        return asked.region
    arn = model.split(":", 5)
    if arn[0] == "arn" and len(arn) == 6 and arn[3]:
        return arn[3]
    if asked.endpoint and (told := _IN_HOST.search(asked.endpoint)):
        return told.group(1)
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None


def address_of(asked: Asked, region: str | None, environ: Mapping[str, str]) -> str:
    """Where Bedrock's runtime is, without a slash at the end; with `{region}` in it where that is to be found.

    Raises:
        InvalidRequestError: what was given is no address.
    """
    given = (
        asked.endpoint or environ.get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME") or environ.get("AWS_ENDPOINT_URL")
    )
    if not given:
        return _UNKNOWN_REGION if region is None else regional_address(region)
    if not _is_address(given):
        msg = f"{given!r} is no address of Bedrock's runtime; it looks like 'https://host'"
        raise InvalidRequestError(msg, provider="bedrock")
    return given.rstrip("/")


@lru_cache(maxsize=64)
def _is_address(given: str) -> bool:
    parts = urlsplit(given)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None


def in_region(url: str, region: str) -> str:
    """*url* with its region, where that was still to be found."""
    if not url.startswith(_UNKNOWN_REGION):
        return url
    return regional_address(region) + url.removeprefix(_UNKNOWN_REGION)


def regional_address(region: str) -> str:
    """Where Bedrock's runtime of *region* is.

    Raises:
        ConfigurationError: that is no region's name.
    """
    if not _REGION.fullmatch(region):
        msg = f"{region!r} is no AWS region; it looks like 'us-east-1'"
        raise ConfigurationError(msg, provider="bedrock")
    domain = next(domain for prefix, domain in _DOMAINS if region.startswith(prefix))
    return f"https://bedrock-runtime.{region}.{domain}"


@final
class Chain:
    """botocore's credential chain for one profile, asked in a worker thread, by one caller at a time.

    While keys are close to their end one caller has them renewed and the others go on with the old ones;
    once the old ones are too close to it everyone waits for that one.
    """

    def __init__(self, profile: str | None = None) -> None:
        self._profile = profile
        self._lock = anyio.Lock()
        self._session: Any = None  # botocore's
        self._source: Any = None  # botocore's credentials, which know when they end
        self._keys: Keys | None = None
        self._region: str | None = None
        self._stale = False
        self._tried = -inf  # when the chain was last asked

    async def keys(self) -> Keys:
        """Keys that are good for some minutes more.

        Raises:
            MissingCredentialsError: the chain is not installed, finds nothing, or cannot renew what it found.
        """
        keys = self._keys
        if keys is not None and not self._wants_renewal():
            return keys
        if keys is not None and self._being_tried() and not self._wants_renewal(_MUST_RENEW):
            return keys
        async with self._lock:
            if self._keys is None or self._wants_renewal():
                # Abandoned when the caller is cancelled: a metadata server that hangs holds nobody.
                self._keys = await anyio.to_thread.run_sync(self._ask, abandon_on_cancel=True)
                self._tried = monotonic()
            return self._keys

    async def region(self) -> str:
        """The region of the profile.

        Raises:
            ConfigurationError: it has none.
        """
        if self._region is None:
            async with self._lock:
                self._region = await anyio.to_thread.run_sync(self._ask_region, abandon_on_cancel=True)
        if self._region is None:
            raise ConfigurationError(_NO_REGION)
        return self._region

    def forget(self) -> None:
        """Ask anew the next time: AWS said that the keys have expired."""
        self._stale = True

    def _being_tried(self) -> bool:
        return self._lock.locked() or monotonic() - self._tried < _TRY_AGAIN

    def _wants_renewal(self, within: int | None = None) -> bool:
        if self._stale:
            return True
        refresh_needed = getattr(
            self._source, "refresh_needed", None
        )  # keys of a file never expire and lack it
        return refresh_needed is not None and bool(refresh_needed(within))

    def _ask(self) -> Keys:
        """In a worker thread: find the keys, or renew them."""
        session = self._botocore_session()
        failures = import_module("botocore.exceptions")  # untyped, and so taken as Any
        try:
            if self._source is None or self._stale:
                self._source = session.get_credentials()
            found = self._source.get_frozen_credentials() if self._source is not None else None
        except (failures.BotoCoreError, failures.ClientError, RuntimeError, OSError, ValueError) as error:
            self._session = self._source = None
            login = f"; log in with 'aws sso login{self._option()}'" if "SSO" in str(error) else ""
            raise MissingCredentialsError(
                f"AWS credentials could not be had from botocore's chain: {error}{login}"
            ) from error
        if found is None:
            self._session = None
            raise MissingCredentialsError(
                _NOTHING_FOUND.format(remedy="configure a profile that botocore finds")
            )
        self._stale = False
        token = Secret(found.token) if found.token else None
        return Keys(Secret(found.access_key), Secret(found.secret_key), token)

    def _option(self) -> str:
        return "" if self._profile is None else f" --profile {self._profile}"

    def _ask_region(self) -> str | None:
        """In a worker thread: the region the profile names."""
        try:
            session = self._botocore_session()
        except MissingCredentialsError:  # the chain is not installed
            return None
        try:
            region: str | None = session.get_config_variable("region")
        except import_module("botocore.exceptions").BotoCoreError as error:
            raise ConfigurationError(f"AWS profile {self._profile!r}: {error}") from error
        return region

    def _botocore_session(self) -> Any:
        if self._session is None or self._stale:
            try:
                module = import_module("botocore.session")
            except ImportError:
                message = _NOTHING_FOUND.format(
                    remedy="install asynccache[bedrock] for profiles, SSO and roles"
                )
                raise MissingCredentialsError(message) from None
            self._session = module.Session(profile=self._profile)
        return self._session


def _secret(value: str | Secret | None) -> Secret | None:
    return Secret(value) if isinstance(value, str) else value


def _text(value: str | Secret | None) -> str | None:
    return (value if isinstance(value, str) or value is None else value.reveal()) or None
