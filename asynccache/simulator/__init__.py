"""A local provider: real wire formats, real prefix-cache rules, a clock that can be moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import VirtualClock
    from .log import Record
    from .server import Simulator
    from .settings import SimulatorSettings
    from .standalone import run

__all__ = ["Record", "Simulator", "SimulatorSettings", "VirtualClock", "run"]

_HOME = {
    "Record": "log",
    "Simulator": "server",
    "SimulatorSettings": "settings",
    "VirtualClock": "clock",
    "run": "standalone",
}


def __getattr__(name: str) -> Any:
    """Names are loaded on first use: the server needs aiohttp, which `--help` should not pay for."""
    from importlib import import_module

    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
