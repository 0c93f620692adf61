"""What the command line caches of a conversation, in LiteLLM's terms; each provider's words follow from them."""

from __future__ import annotations

__all__ = ["CONVERSATION"]

CONVERSATION = ({"location": "message", "role": "system"}, {"location": "message", "index": -1})
"""The system prompt, and everything up to the newest message."""
