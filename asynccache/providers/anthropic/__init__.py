"""Anthropic's Messages API: requests, answers, errors and cache rules."""
