"""How a command's calls, and other programs, are led to the simulated providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynccache.simulator import Simulator

__all__ = ["PROVIDERS", "exports", "reach"]

PROVIDERS = ("anthropic", "bedrock", "deepseek", "openai")
_KEY = "sk-simulated"


def reach(simulator: Simulator, model: str) -> dict[str, Any]:
    """The arguments that lead a call for *model*, as ``provider/model``, to *simulator*."""
    return {"api_base": getattr(simulator, f"{model.partition('/')[0]}_base"), "api_key": _KEY}


def exports(simulator: Simulator) -> dict[str, str]:
    """The environment that leads a program to *simulator*, whichever provider it asks."""
    return {
        "OPENAI_BASE_URL": simulator.openai_base,
        "OPENAI_API_KEY": _KEY,
        "ANTHROPIC_BASE_URL": simulator.anthropic_base,
        "ANTHROPIC_API_KEY": _KEY,
        "DEEPSEEK_API_BASE": simulator.deepseek_base,
        "DEEPSEEK_API_KEY": _KEY,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": simulator.bedrock_base,
        "AWS_BEARER_TOKEN_BEDROCK": _KEY,
        "AWS_REGION": "us-east-1",
    }
