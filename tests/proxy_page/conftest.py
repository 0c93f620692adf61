from __future__ import annotations

from tests.proxy.conftest import proxy, sim

__all__ = ["proxy", "sim"]
