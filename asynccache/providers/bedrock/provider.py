"""Bedrock as a provider: `bedrock/…` and `bedrock/converse/…` are Converse, `bedrock/invoke/…` is InvokeModel."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, final
from urllib.parse import quote

import anyio
import anyio.to_thread
import msgspec

from asynccache.errors import APITimeoutError, AsyncCacheError, InvalidRequestError
from asynccache.providers.access import caller_headers
from asynccache.providers.base import CacheRules, HttpCall, json_body
from asynccache.providers.bedrock.answer import AnswerDecoder
from asynccache.providers.bedrock.credentials import Bearer, address_of, ask, in_region, region_of, told_auth
from asynccache.providers.bedrock.failures import failure_of_answer
from asynccache.providers.bedrock.families import family_of, reader_of
from asynccache.providers.bedrock.invoke import check_invoke, invoke_body, invoke_headers
from asynccache.providers.bedrock.memory import Memories
from asynccache.providers.bedrock.models import UNMARKABLE, cache_rules, read_model
from asynccache.providers.bedrock.params import check_params, converse_body
from asynccache.providers.bedrock.signing import load_signer, sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.errors import APIStatusError
    from asynccache.events import Event
    from asynccache.providers.bedrock.models import BedrockModel
    from asynccache.request import Request
    from asynccache.stream import Head, Machine

__all__ = ["Bedrock", "provider"]

# The last step of the address, by route and by whether the answer is streamed.
_OPERATIONS = {
    ("converse", False): "converse",
    ("converse", True): "converse-stream",
    ("invoke", False): "invoke",
    ("invoke", True): "invoke-with-response-stream",
}


@final
class Bedrock:
    """AWS Bedrock's runtime. What it remembers are AWS keys and the clock's error, for each event loop."""

    name = "bedrock"

    def __init__(self) -> None:
        self._memories = Memories()

    def cache_rules(self, request: Request) -> CacheRules:
        """The rules of the model that *request* names."""
        return _rules_of(read_model(request.model_id))

    def check(self, request: Request) -> Request:
        """*request* without the parameters that `drop_params` lets go.

        Raises:
            UnsupportedParamsError: a parameter that the route has no word for.
            InvalidRequestError: the model's family of bodies is not known.
        """
        model = read_model(request.model_id)
        try:
            if not model.id:
                msg = f"{request.model!r} names no model; write 'bedrock/converse/us.amazon.nova-pro-v1:0' or its like"
                raise InvalidRequestError(msg)
            if model.route == "invoke":
                return check_invoke(request, model, family_of(model))
            return check_params(request, model)
        except AsyncCacheError as error:
            _name(error, request)
            raise

    def encode(self, request: Request) -> HttpCall:
        """*request* as a POST; where only the profile knows the region, the address has `{region}` in it.

        Raises:
            InvalidRequestError: a message or a tool that the route cannot say.
        """
        try:
            return self._encode(request, read_model(request.model_id))
        except AsyncCacheError as error:
            _name(error, request)
            raise

    def _encode(self, request: Request, model: BedrockModel) -> HttpCall:
        headers = {name.lower(): value for name, value in caller_headers(request).items()}
        request = msgspec.structs.replace(request, extra_headers=headers)
        headers = {
            name: value for name, value in headers.items() if name != "anthropic-beta"
        }  # it stands in the body
        headers["content-type"] = "application/json"
        if model.route == "invoke":
            body = invoke_body(request, model, family_of(model))
            headers |= invoke_headers(request)
            headers["x-amzn-bedrock-accept" if request.stream else "accept"] = "application/json"
        else:
            body = converse_body(request, model)
        asked = ask(request)
        base = address_of(asked, region_of(asked, model.id, os.environ), os.environ)
        return HttpCall(url=base + _path(model, stream=request.stream), headers=headers, body=json_body(body))

    async def authorize(self, call: HttpCall, request: Request) -> HttpCall:
        """*call* with a bearer key or a signature; keys of the chain are looked for in a worker thread.

        Raises:
            MissingCredentialsError: there are no AWS credentials.
            ConfigurationError: there is no region.
        """
        try:
            return await self._authorize(call, request)
        except AsyncCacheError as error:
            _name(error, request)
            raise

    async def _authorize(self, call: HttpCall, request: Request) -> HttpCall:
        asked = ask(request)
        memory = self._memories.here()
        auth = told_auth(asked, os.environ)
        region = region_of(asked, read_model(request.model_id).id, os.environ)
        unknown_region = region is None and (type(auth) is not Bearer or "{region}" in call.url)
        if auth is None or unknown_region:  # the chain's own waits are worth a timer, what was told is not
            chain = memory.chain(asked.profile)
            left = None if request.deadline is None else max(request.deadline - monotonic(), 0.0)
            try:
                with anyio.fail_after(left):
                    auth = auth or await chain.keys()
                    region = await chain.region() if unknown_region else region
            except TimeoutError:
                msg = "botocore's chain had no AWS credentials in time (timeout 'total')"
                raise APITimeoutError(msg, phase="total") from None
        url = call.url if region is None else in_region(call.url, region)
        if type(auth) is Bearer:
            headers = {**call.headers, "authorization": f"Bearer {auth.token.reveal()}"}
            return msgspec.structs.replace(call, url=url, headers=headers)
        if not memory.signer_loaded:
            await anyio.to_thread.run_sync(load_signer)  # imports botocore where it is installed
            memory.signer_loaded = True
        at = datetime.now(UTC) + timedelta(seconds=memory.skew)
        headers = sign(url, call.headers, call.body, keys=auth, region=region or "", at=at)
        return msgspec.structs.replace(call, url=url, headers=headers)

    def decoder(self, request: Request, head: Head) -> Machine[bytes, Event]:
        """A machine from frames, or from one JSON body, to events."""
        model = read_model(request.model_id)
        return AnswerDecoder(reader_of(model, head, stream=request.stream), head)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that an answer with *status* stands for."""
        error = failure_of_answer(status, headers, body)
        memory = self._memories.here_if_any()
        if memory is not None:
            memory.learn(error, headers)
        return error


def _name(error: AsyncCacheError, request: Request) -> None:
    """Say on *error* whom the request was for, where it does not."""
    error.provider = error.provider or "bedrock"
    error.model = error.model or request.model


@lru_cache(maxsize=256)
def _rules_of(model: BedrockModel) -> CacheRules:
    rules = cache_rules(model)
    return msgspec.structs.replace(rules, unmarkable=UNMARKABLE) if model.route == "converse" else rules


@lru_cache(maxsize=256)
def _path(model: BedrockModel, *, stream: bool) -> str:
    """Of the address: the model's id is encoded once and completely; the signature encodes that again."""
    return f"/model/{quote(model.id, safe='')}/{_OPERATIONS[model.route, stream]}"


provider = Bedrock()
