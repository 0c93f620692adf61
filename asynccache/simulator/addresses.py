"""Where each provider's own client asks, below one address."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Addresses"]


class Addresses(Protocol):
    """One listener that speaks as every provider, each below a path of its own."""

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        ...

    @property
    def openai_base(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"{self.url}/openai/v1"

    @property
    def anthropic_base(self) -> str:
        """For ANTHROPIC_BASE_URL."""
        return f"{self.url}/anthropic"

    @property
    def deepseek_base(self) -> str:
        """For DEEPSEEK_API_BASE."""
        return f"{self.url}/deepseek"

    @property
    def bedrock_base(self) -> str:
        """For AWS_ENDPOINT_URL_BEDROCK_RUNTIME; the secret of any access key K is `secret-of-K`."""
        return f"{self.url}/bedrock"
