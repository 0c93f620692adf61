"""The OpenAI- and Anthropic-compatible server: names only."""
