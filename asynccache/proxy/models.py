"""What is served, told to callers: names, prices, what the cache takes; never a key or an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from asynccache.errors import AsyncCacheError, InvalidRequestError
from asynccache.pricing.functions import get_model_info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynccache.pricing.info import ModelInfo
    from asynccache.proxy.deployment import Deployment
    from asynccache.proxy.served import Served

__all__ = ["model_infos", "model_list"]

_CREATED = 1677610602  # OpenAI's field; LiteLLM and others give this same day for all models


def model_list(served: Served) -> bytes:
    """``GET /v1/models``, which both SDKs can read."""
    rows: list[dict[str, Any]] = []
    for name, group in served.router.groups.items():
        rows.append(
            {
                "id": name,
                "object": "model",
                "created": _CREATED,
                "owned_by": group[0].provider.name,
                "type": "model",
                "display_name": name,
                "created_at": "2023-02-28T18:56:42Z",
            }
        )
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return orjson.dumps(
        {"object": "list", "data": rows, "has_more": False, "first_id": first, "last_id": last}
    )


def model_infos(served: Served, wanted: str | None) -> bytes:
    """``GET /v1/model/info`` in LiteLLM's shape.

    Args:
        served: what is served.
        wanted: the id of the one deployment that is asked for; None is all.

    Raises:
        InvalidRequestError: there is no deployment of that id.
    """
    rows = [_row(deployment) for deployment in served.deployments if wanted in {None, deployment.id}]
    if wanted is not None and not rows:
        msg = "no deployment has that litellm_model_id; GET /v1/model/info lists them all"
        raise InvalidRequestError(msg)
    return orjson.dumps({"data": rows})


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
    return deployment.target.partition("/")[2]


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
