"""AWS Bedrock: Converse and Invoke, over signed requests and event-stream frames."""

from asynccache.providers.bedrock.provider import provider

__all__ = ["provider"]
