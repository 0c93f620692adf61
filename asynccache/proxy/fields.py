"""What a caller may say in a body: never where a request goes, with which key, or what else is sent along."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asynccache.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_fields"]

# Names that would be refused by their look, though providers define them for harmless things.
_HARMLESS = frozenset(
    [
        "fallback_credit_token",
        "inference_geo",
        "prompt_cache_key",
        "safety_identifier",
        "user",
        "user_id",
    ]
)
# What the library, LiteLLM or an SDK reads as an instruction of its own.
_REFUSED = frozenset(
    [
        "allowed_model_region",
        "api_version",
        "base_model",
        "callbacks",
        "client",
        "custom_llm_provider",
        "deployment_id",
        "drop_params",
        "extra_body",
        "extra_query",
        "headers",
        "keep_cache_control",
        "litellm_params",
        "max_retries",
        "model_info",
        "model_list",
        "num_retries",
        "on_usage",
        "organization",
        "project",
        "recorders",
        "region",
        "timeout",
    ]
)
_LOOKS = re.compile(
    r"(?:^|_)(?:url|uri|urls|base|endpoint|endpoints|host|hosts|proxy|proxies|headers?|key|keys|token|secret|"
    r"credentials?|password|webhook|callback|callbacks|certificate|cert|ssl)(?:$|_)"
    r"|^(?:aws|azure|vertex|watsonx|oci|sagemaker|litellm|proxy|extra|mock)_",
    re.IGNORECASE,
)


def check_fields(names: Iterable[str]) -> None:
    """Refuse a body that says where, how or in whose name to ask.

    Raises:
        InvalidRequestError: it does; the message names the field.
    """
    for name in names:
        if name in _HARMLESS:
            continue
        if name in _REFUSED or _LOOKS.search(name):
            msg = (
                f"{name[:80]!r} cannot be set by a request: addresses, keys, headers and the like stand in the "
                "proxy's own configuration"
            )
            raise InvalidRequestError(msg, code="unsupported_field")
