"""An async-first client for language models that knows what your prompt cache is doing."""

__version__ = "0.1.0"
