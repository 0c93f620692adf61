"""A YAML file as plain values that know their lines; size, nesting, aliases and duplicate keys are bounded."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, final

import msgspec
import yaml

from asynccache.errors import ConfigurationError
from asynccache.proxy.litellm_keys import is_ignored
from asynccache.request import Path, path_text

if TYPE_CHECKING:
    from pathlib import Path as FilePath

__all__ = ["ConfigError", "Source", "read_yaml"]

MAX_BYTES = 1024 * 1024
MAX_VALUES = 50_000
"""Values that aliases add: a file of a few lines may stand for billions of them."""
MAX_DEPTH = 32
ENVIRONMENT = "os.environ/"
_PLAIN = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})

Environment: TypeAlias = Mapping[str, str]


class ConfigError(ConfigurationError):
    """The configuration cannot be used; the message names the file, the line, the path and the remedy."""


@final
class Source(msgspec.Struct, frozen=True):
    """What a file says, and where."""

    name: str
    value: Any
    lines: dict[Path, int]

    def error(self, path: Path, what: str) -> ConfigError:
        """The error that stands at *path*: ``file:line: path: what``."""
        line = self.lines.get(path)
        shorter = path
        while line is None and shorter:
            shorter = shorter[:-1]
            line = self.lines.get(shorter)
        where = f"{self.name}:{line}" if line is not None else self.name
        return ConfigError(f"{where}: {path_text(path) + ': ' if path else ''}{what}")

    def unknown(self, path: Path, known: Sequence[str]) -> ConfigError:
        """The error for a key that nobody knows, with the nearest name that somebody does."""
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known here: {', '.join(sorted(known)[:12])}"
        return self.error(path, f"no such key{hint}")


def read_yaml(file: FilePath, environment: Environment) -> Source:
    """What *file* says, ``os.environ/NAME`` replaced by the variable's value.

    Raises:
        ConfigError: it cannot be read, is no YAML, is beyond a bound, or names a variable that is not set.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as exc:
        msg = f"{file}: cannot be read: {exc.strerror}"
        raise ConfigError(msg) from exc
    if len(content) > MAX_BYTES:
        msg = f"{file}: is larger than {MAX_BYTES} bytes; keys by the thousand belong in the ledger"
        raise ConfigError(msg)
    return parse_yaml(content, str(file), environment)


def parse_yaml(content: bytes, name: str, environment: Environment) -> Source:
    """As `read_yaml`, for bytes at hand."""
    try:
        loader = yaml.SafeLoader(content)
        node = loader.get_single_node()
        walk = _Walk(name, loader, environment)
        value = None if node is None else walk.value(node, ())
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        msg = f"{where}: is no YAML: {exc.problem}"
        raise ConfigError(msg) from exc
    except yaml.reader.ReaderError as exc:
        line = content[: exc.position].count(b"\n") + 1 if exc.encoding == "utf-8" else 1
        msg = f"{name}:{line}: is no YAML: {exc.reason}; it must be text in UTF-8"
        raise ConfigError(msg) from exc
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        msg = f"{name}: is no YAML: {str(exc)[:200] or type(exc).__name__}"
        raise ConfigError(msg) from exc
    return Source(name, value, walk.lines)


@final
class _Walk:
    """Turns nodes into values, counting as it goes."""

    def __init__(self, name: str, loader: yaml.SafeLoader, environment: Environment) -> None:
        self._loader = loader
        self._environment = environment
        self._source = Source(name, None, {})
        self._values = 0
        self._seen: set[int] = set()
        self.lines = self._source.lines

    def value(self, node: yaml.Node, path: Path) -> Any:
        if id(node) in self._seen:
            self._values += 1 + (len(node.value) if isinstance(node, yaml.MappingNode) else 0)
        self._seen.add(id(node))
        self.lines.setdefault(path, node.start_mark.line + 1)
        if self._values > MAX_VALUES:
            raise self._source.error(path, f"the file's aliases stand for more than {MAX_VALUES} values")
        if len(path) > MAX_DEPTH:
            raise self._source.error(path, f"is nested deeper than {MAX_DEPTH} levels")
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN:
            raise self._source.error(path, f"is no YAML: there is no {node.tag!r} here")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, number)) for number, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            text = str(key.value)
            if text in seen and text != "<<":
                raise self._at(key, (*path, text), "stands twice; only one of the two can be meant")
            seen.add(text)
        self._loader.flatten_mapping(node)  # merge keys: what they bring stands first, and is overridden
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._at(key, path, "a key is a plain name")
            name = str(key.value)
            self.lines[(*path, name)] = key.start_mark.line + 1
            found[name] = self.value(value, (*path, name))
        return found

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        loader: Any = self._loader
        value = loader.construct_object(node)
        if not isinstance(value, str):
            if value is None or isinstance(value, (bool, int, float)):
                return value
            return str(node.value)  # dates and the like are words here
        if not value.startswith(ENVIRONMENT):
            return value
        variable = value.removeprefix(ENVIRONMENT)
        if variable not in self._environment:
            if is_ignored(path):
                return None
            raise self._source.error(path, f"the variable {variable} is not set in the environment")
        return self._environment[variable]

    def _at(self, node: yaml.Node, path: Path, what: str) -> ConfigError:
        self.lines[path] = node.start_mark.line + 1
        return self._source.error(path, what)
