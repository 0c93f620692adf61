"""LiteLLM's ``config.yaml``, read strictly: what is not known is an error, what means nothing here is told once."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, final

import msgspec

from asynccache.pricing.litellm_format import is_litellm_price
from asynccache.proxy.environment import found_config, master_key_of
from asynccache.proxy.litellm_keys import (
    AWS,
    AWS_SECRETS,
    DEFAULT_KINDS,
    DEFAULTS,
    IGNORED,
    PRICES,
    REMEDIES,
    USED,
)
from asynccache.proxy.row_checks import check_provider, check_row
from asynccache.proxy.settings import Config, Model, Settings
from asynccache.proxy.virtual_keys import config_keys
from asynccache.proxy.yaml_source import ConfigError, Source, read_yaml
from asynccache.secret import Secret
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path as FilePath

    from asynccache.request import Path
    from asynccache.usage.ledger_keys import Key

__all__ = ["ConfigError", "parse_config", "read_config"]


def read_config(file: FilePath, environment: Mapping[str, str]) -> Config:
    """The configuration in *file*.

    Raises:
        ConfigError: it cannot be used as it stands.
    """
    return parse_config(read_yaml(file, environment), environment)


def parse_config(source: Source, environment: Mapping[str, str]) -> Config:
    """The configuration that *source* says.

    Raises:
        ConfigError: it cannot be used as it stands.
    """
    return _Reading(source).config(environment)


@final
class _Reading:
    """One pass over a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ignored: dict[str, None] = {}

    def config(self, environment: Mapping[str, str]) -> Config:
        root: Any = {} if self._source.value is None else self._source.value
        if not is_object(root):
            raise self._source.error((), "is not a mapping with a model_list")
        self._check_keys("", root, ())
        sections = {name: self._section(root, name) for name in ("litellm_settings", "router_settings")}
        general = self._section(root, "general_settings")
        both = {**sections["litellm_settings"], **sections["router_settings"]}
        rows = root.get("model_list")
        if rows is not None and not is_array(rows):
            raise self._source.error(("model_list",), "is not a list")
        drop = bool(self._typed(both, ("litellm_settings",), "drop_params", bool | None))
        given = [self._model(row, ("model_list", place), drop) for place, row in enumerate(rows or ())]
        models = tuple(
            self._timed(one, sections) for model in given for one in self._expanded(model, environment)
        )
        config = Config(
            models=models,
            master_key=self._master_key(general) or master_key_of(environment),
            keys=self._keys(root),
            settings=self._settings(root, both, general),
            fallbacks=self._fallbacks(sections, "fallbacks") | self._default_fallbacks(sections),
            context_fallbacks=self._fallbacks(sections, "context_window_fallbacks"),
            policy_fallbacks=self._fallbacks(sections, "content_policy_fallbacks"),
            aliases=self._aliases(sections["router_settings"]),
            ignored=tuple(self._ignored),
            source=Source(self._source.name, None, self._source.lines),  # what it says holds keys
        )
        self._check_names(config)
        return config

    def _section(self, root: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        section: Any = root.get(name)
        if section is None:
            return {}
        if not is_object(section):
            raise self._source.error((name,), "is not a mapping")
        self._check_keys(name, section, (name,))
        return section

    def _check_keys(self, section: str, value: Mapping[str, Any], path: Path) -> None:
        used, ignored = USED[section], IGNORED[section]
        for key in value:
            if key in used or (section == "litellm_params" and is_litellm_price(key)):
                continue
            if key in REMEDIES.get(section, ()):
                raise self._source.error((*path, key), REMEDIES[section][key])
            if key not in ignored:
                raise self._source.unknown((*path, key), sorted(used))
            self._ignored[f"{section}.{key}" if section else key] = None

    def _model(self, row: Any, path: Path, drop: bool) -> Model:
        if not is_object(row):
            raise self._source.error(path, "is not a mapping with model_name and litellm_params")
        self._check_keys("model_list", row, path)
        params = row.get("litellm_params")
        inner = (*path, "litellm_params")
        if not is_object(params):
            raise self._source.error(path, "has no litellm_params: {model: provider/name}")
        check_provider(self._source, params, inner)
        self._check_keys("litellm_params", params, inner)
        info: Any = row.get("model_info") or {}
        if not is_object(info):
            raise self._source.error((*path, "model_info"), "is not a mapping")
        retries = "num_retries" if params.get("num_retries") is not None else "max_retries"
        base = "api_base" if params.get("api_base") is not None else "base_url"
        key: str | None = self._typed(params, inner, "api_key", str | None)
        model: str = self._typed(params, inner, "model", str, needed=True)
        provider: str | None = self._typed(params, inner, "custom_llm_provider", str | None)
        made = Model(
            name=self._typed(row, path, "model_name", str, needed=True),
            model=model if provider is None or model.startswith(f"{provider}/") else f"{provider}/{model}",
            api_key=None if key is None else Secret(key.strip()),
            api_base=self._typed(params, inner, base, str | None),
            options=self._options(params, inner),
            headers=self._headers(params, inner),
            defaults={
                name: self._typed(params, inner, name, DEFAULT_KINDS.get(name, Any))
                for name in DEFAULTS
                if params.get(name) is not None
            },
            timeout=self._typed(params, inner, "timeout", float | None),
            stream_timeout=self._typed(params, inner, "stream_timeout", float | None),
            max_retries=self._typed(params, inner, retries, int | None),
            drop_params=bool(self._typed(params, inner, "drop_params", bool | None)) or drop,
            keep_cache_control=bool(self._typed(params, inner, "keep_cache_control", bool | None)),
            injection_points=self._points(params, inner),
            prices=self._prices(params, inner) | self._prices(info, (*path, "model_info")),
            base_model=self._typed(info, (*path, "model_info"), "base_model", str | None),
            info=info,
            path=path,
        )
        if made.name == made.model == "*":
            return made
        check_row(self._source, made)
        return made

    def _timed(self, model: Model, sections: Mapping[str, Mapping[str, Any]]) -> Model:
        """*model* with the times that hold for all rows, where its own says none."""
        default = self._seconds(sections, "router_settings", "timeout")
        default = default or self._seconds(sections, "litellm_settings", "request_timeout")
        streamed = self._seconds(sections, "router_settings", "stream_timeout")
        return msgspec.structs.replace(
            model,
            timeout=model.timeout or default,
            stream_timeout=model.stream_timeout or model.timeout or streamed or default,
        )

    def _seconds(self, sections: Mapping[str, Mapping[str, Any]], section: str, name: str) -> float | None:
        seconds: float | None = self._typed(sections[section], (section,), name, float | None)
        if seconds is not None and not seconds > 0:
            raise self._source.error((section, name), f"{seconds:g} is not above 0 seconds")
        return seconds

    def _expanded(self, model: Model, environment: Mapping[str, str]) -> list[Model]:
        """A row of ``*`` for ``*`` is one for every provider whose key is in the environment."""
        if not model.name == model.model == "*":
            return [model]
        found = found_config(environment, simulator=False).models
        if not found:
            raise self._source.error(
                (*model.path, "model_name"), "* serves nothing: no provider's key is set"
            )
        return [msgspec.structs.replace(model, name=one.name, model=one.model) for one in found]

    def _options(self, params: Mapping[str, Any], path: Path) -> dict[str, str | Secret]:
        found: dict[str, str | Secret] = {}
        for name in AWS:
            value: str | None = self._typed(params, path, name, str | None)
            if value is not None:
                found[name] = Secret(value) if name in AWS_SECRETS else value
        return found

    def _headers(self, params: Mapping[str, Any], path: Path) -> Mapping[str, str]:
        headers: dict[str, str] = self._typed(params, path, "extra_headers", dict[str, str] | None) or {}
        organization: str | None = self._typed(params, path, "organization", str | None)
        for name, value in headers.items():
            if re.search(r"[\r\n\0]", name + value):
                raise self._source.error((*path, "extra_headers", name), "holds a line break")
        return headers if organization is None else {"openai-organization": organization, **headers}

    def _points(self, params: Mapping[str, Any], path: Path) -> tuple[Any, ...]:
        name = "cache_control_injection_points"
        points: list[dict[str, Any]] | None = self._typed(params, path, name, list[dict[str, Any]] | None)
        return tuple(points or ())

    def _prices(self, holder: Mapping[str, Any], path: Path) -> dict[str, float]:
        names = [*PRICES, *(name for name in holder if name not in PRICES and is_litellm_price(name))]
        found = {name: self._typed(holder, path, name, float | None) for name in names}
        for name, price in found.items():
            if price is not None and not 0 <= price < 1:
                raise self._source.error((*path, name), f"{price} is no price in dollars per token")
        for name in holder:
            if "cost" in name and name not in found and holder[name]:
                self._ignored[f"{path[-1]}.{name}"] = None
        return {name: price for name, price in found.items() if price is not None}

    def _typed(
        self, holder: Mapping[str, Any], path: Path, name: str, kind: Any, *, needed: bool = False
    ) -> Any:
        value = holder.get(name)
        if needed and value is None:
            raise self._source.error(path, f"has no {name}")
        strict = not isinstance(value, str)  # the environment knows strings only
        try:
            return msgspec.convert(value, kind, strict=strict)
        except msgspec.ValidationError as exc:
            raise self._source.error((*path, name), _lower(str(exc))) from exc

    def _settings(
        self, root: Mapping[str, Any], both: Mapping[str, Any], general: Mapping[str, Any]
    ) -> Settings:
        path = ("asynccache_settings",)
        own: Any = root.get("asynccache_settings") or {}
        if not is_object(own):
            raise self._source.error(path, "is not a mapping")
        known = Settings.__struct_fields__
        values: dict[str, Any] = {}
        for name, theirs in (
            ("max_retries", "num_retries"),
            ("cooldown_seconds", "cooldown_time"),
        ):
            section = "router_settings" if theirs == "cooldown_time" else "litellm_settings"
            given = self._typed(both, (section,), theirs, float | None)
            if given is not None:
                values[name] = int(given) if name == "max_retries" else given
        if self._typed(general, ("general_settings",), "always_include_stream_usage", bool | None):
            values["stream_usage"] = "always"
        for name, value in own.items():
            if name == "keys":
                continue
            if name not in known:
                raise self._source.unknown((*path, name), (*known, "keys"))
            try:
                msgspec.convert({name: value}, Settings, strict=not isinstance(value, str))
            except msgspec.ValidationError as exc:
                raise self._source.error((*path, name), _lower(str(exc))) from exc
            values[name] = value
        made = msgspec.convert(values, Settings, strict=False)
        for name in known:
            number = getattr(made, name)
            if type(number) in {int, float} and number < 0:
                raise self._source.error((*path, name), f"{number} is below 0")
        return made

    def _keys(self, root: Mapping[str, Any]) -> tuple[Key, ...]:
        own: Any = root.get("asynccache_settings")
        path = ("asynccache_settings", "keys")
        return config_keys(self._source, own.get("keys"), path) if is_object(own) else ()

    def _master_key(self, general: Mapping[str, Any]) -> Secret | None:
        key: str | None = self._typed(general, ("general_settings",), "master_key", str | None)
        if key is not None and not key.strip():
            raise self._source.error(
                ("general_settings", "master_key"), "is empty; leave it out or give a key"
            )
        return None if key is None else Secret(key.strip())

    def _fallbacks(self, sections: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for section, values in sections.items():
            rows = self._typed(values, (section,), name, list[dict[str, list[str]]] | None) or ()
            for row in rows:
                found.update({model: tuple(others) for model, others in row.items()})
        return found

    def _default_fallbacks(self, sections: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
        for section, values in sections.items():
            names = self._typed(values, (section,), "default_fallbacks", list[str] | None)
            if names:
                return {"*": tuple(names)}
        return {}

    def _aliases(self, router: Mapping[str, Any]) -> dict[str, str]:
        path = ("router_settings", "model_group_alias")
        given: dict[str, Any] = self._typed(router, path[:1], path[1], dict[str, Any] | None) or {}
        return {
            alias: str(target.get("model") if is_object(target) else target)
            for alias, target in given.items()
        }

    def _check_names(self, config: Config) -> None:
        """Whatever is fallen back to, or from, or aliased, must be served."""
        names = {model.name for model in config.models} | config.aliases.keys()
        wanted = [(path, name) for path, name in _named(config) if not _is_served(name, names)]
        for path, name in wanted:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise self._source.error(path, f"{name!r} is the model_name of no row of model_list{hint}")


def _named(config: Config) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    for key, table in (
        ("fallbacks", config.fallbacks),
        ("context_window_fallbacks", config.context_fallbacks),
        ("content_policy_fallbacks", config.policy_fallbacks),
    ):
        section = "router_settings" if ("router_settings", key) in config.source.lines else "litellm_settings"
        found += [((section, key), name) for names in table.values() for name in names]
        found += [((section, key), name) for name in table if name != "*"]
    found += [
        (("router_settings", "model_group_alias", alias), name) for alias, name in config.aliases.items()
    ]
    return found


def _is_served(name: str, names: set[str]) -> bool:
    return name in names or any(own.endswith("*") and name.startswith(own[:-1]) for own in names)


def _lower(message: str) -> str:
    """What msgspec says, as a part of a sentence."""
    told = re.sub(r" - at `\$[^`]*`", "", message)
    return told[:1].lower() + told[1:]
