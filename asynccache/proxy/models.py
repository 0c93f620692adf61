"""What is served, told to callers: names, prices, what the cache takes; to each what their key may ask for.

Never a key of a provider's, or an address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from asynccache.errors import AsyncCacheError, InvalidRequestError, NotFoundError
from asynccache.pricing.functions import get_model_info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynccache.pricing.info import ModelInfo
    from asynccache.proxy.deployment import Deployment
    from asynccache.proxy.served import Served
    from asynccache.usage.ledger_keys import Key

__all__ = ["model_entry", "model_infos", "model_list"]

_CREATED = 1677610602  # OpenAI's field; LiteLLM and others give this same day for all models


def model_list(served: Served, key: Key | None) -> bytes:
    """``GET /v1/models``, which both SDKs can read."""
    rows = [_entry(name, group[0]) for name, group in _asked(served, key).items()]
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return orjson.dumps(
        {"object": "list", "data": rows, "has_more": False, "first_id": first, "last_id": last}
    )


def model_entry(served: Served, name: str, key: Key | None) -> bytes:
    """``GET /v1/models/NAME``: the same of one name; an alias, or a name that a ``*`` serves, is one too.

    Raises:
        NotFoundError: it is not served, or not to this key.
    """
    if key is not None and not key.rights.may_ask(name):
        msg = f"the model {name[:200]!r} is not served to this key; GET /v1/models lists those that are"
        raise NotFoundError(msg, status_code=404, code="model_not_found", model=name[:200])
    return orjson.dumps(_entry(name, served.router.find(name)[0]))


def _entry(name: str, deployment: Deployment) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": deployment.provider.name,
        "type": "model",
        "display_name": name,
        "created_at": "2023-02-28T18:56:42Z",
    }


def model_infos(served: Served, wanted: str | None, key: Key | None) -> bytes:
    """``GET /v1/model/info`` in LiteLLM's shape.

    Args:
        served: what is served.
        wanted: the id of the one deployment that is asked for; None is all.
        key: whose question it is; None where no key is asked for.

    Raises:
        InvalidRequestError: there is no deployment of that id, or none for this key.
    """
    found = {one.id: one for group in _asked(served, key).values() for one in group}
    rows = [_row(one) for one in found.values() if wanted in {None, one.id}]
    if wanted is not None and not rows:
        msg = "no deployment has that litellm_model_id; GET /v1/model/info lists them all"
        raise InvalidRequestError(msg)
    return orjson.dumps({"data": rows})


def _asked(served: Served, key: Key | None) -> dict[str, list[Deployment]]:
    """Who answers, by the names that *key* may ask for: its own, as far as they are served, or all."""
    if key is None or key.rights.models == ("*",):
        return served.router.groups
    found: dict[str, list[Deployment]] = {}
    for name in key.rights.models:
        try:
            found[name] = served.router.find(name)
        except NotFoundError:
            continue  # it may be served again one day; a key outlives configurations
    return found


def _row(deployment: Deployment) -> dict[str, Any]:
    model = deployment.model
    params: dict[str, Any] = {"model": model.model}
    params.update(dict(sorted(model.defaults.items())))
    return {
        "model_name": model.name,
        "litellm_params": params,
        "model_info": {
            "id": deployment.id,
            "db_model": False,
            "key": _key(deployment),
            **dict(_facts(deployment)),
            **{name: value for name, value in model.info.items() if name not in {"id", "db_model"}},
            **model.prices,
        },
    }


def _key(deployment: Deployment) -> str:
    return deployment.model.base_model or deployment.target.partition("/")[2]


def _facts(deployment: Deployment) -> Iterator[tuple[str, Any]]:
    yield "litellm_provider", deployment.provider.name
    info = _info(deployment)
    yield "mode", "chat" if info is None else info.mode
    yield "supports_prompt_caching", info is not None and info.supports_prompt_caching
    for name in (
        "max_input_tokens",
        "max_output_tokens",
        "input_cost_per_token",
        "output_cost_per_token",
        "cache_read_input_token_cost",
        "cache_creation_input_token_cost",
        "cache_creation_input_token_cost_above_1hr",
        "caching",
        "min_cacheable_tokens",
        "max_breakpoints",
        "cache_lifetimes",
    ):
        yield name, None if info is None else getattr(info, name)


def _info(deployment: Deployment) -> ModelInfo | None:
    try:
        return get_model_info(_key(deployment), deployment.provider.name)
    except AsyncCacheError:
        return None  # a model that the book does not know has no facts
