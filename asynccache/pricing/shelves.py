"""The price files: one shelf a provider, read when it is first asked for, and the index of all providers."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import final

import msgspec

from asynccache.pricing.entries import Billed, Model, PriceFile, Provider
from asynccache.pricing.names import spellings

__all__ = ["Index", "Shelf", "billed_at", "canonical", "index_of_providers", "shelf_of"]


_VERSION = re.compile(r"(?:-v\d+)?:\d+$")


@final
class Shelf:
    """One provider's file with the index of its names."""

    def __init__(self, file: PriceFile) -> None:
        self.file = file
        self.models: dict[str, Model] = {
            name: model for model in file.models for name in (model.name.lower(), *model.also)
        }
        self.models.update(self._unversioned())
        self.slashed: bool = any("/" in name for name in self.models)
        """Whether its names hold a slash themselves."""

    def _unversioned(self) -> dict[str, Model]:
        """Names without a version's number, as far as they mean one model: ``amazon.nova-pro``."""
        shorter: dict[str, list[Model]] = {}
        for name, model in self.models.items():
            if ":" in name and (short := _VERSION.sub("", name)) not in self.models:
                shorter.setdefault(short, []).append(model)
        return {short: named[0] for short, named in shorter.items() if len(named) == 1}

    def find(self, name: str) -> Model | None:
        """The model of that name, however it is spelled."""
        return next((model for spelled in spellings(name) if (model := self.models.get(spelled))), None)


@final
class Index:
    """The providers, by every name that they go by."""

    def __init__(self, rows: tuple[Provider, ...]) -> None:
        self.rows = rows
        self.by_name: dict[str, Provider] = {name: row for row in rows for name in (row.name, *row.also)}


@lru_cache(maxsize=1)
def index_of_providers() -> Index:
    """The index, read once."""
    data = (files("asynccache.pricing") / "data" / "providers.json").read_bytes()
    return Index(msgspec.json.decode(data, type=tuple[Provider, ...]))


@lru_cache(maxsize=64)
def shelf_of(provider: str) -> Shelf | None:
    """The file of *provider* by the book's name for it, None if there is none."""
    row = index_of_providers().by_name.get(provider)
    if row is None or not row.file:
        return None
    data = (files("asynccache.pricing") / "data" / f"{row.name}.json").read_bytes()
    return Shelf(msgspec.json.decode(data, type=PriceFile))


def canonical(provider: str) -> str | None:
    """The book's name for *provider*, None if it knows none."""
    row = index_of_providers().by_name.get(provider.lower())
    return None if row is None else row.name


def billed_at(provider: str) -> Billed | None:
    """Where *provider*'s usage says what was billed, None if it does not."""
    row = index_of_providers().by_name.get(provider)
    return None if row is None else row.billed
