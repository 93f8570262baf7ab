"""Validation of a settings document against the schema; resolves references to secrets. Otherwise pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec

from deepseek_async.configuration.credential import Secret
from deepseek_async.configuration.schema import ARGUMENTS, SCHEMA, Entry, Section, SettingKey
from deepseek_async.configuration.yaml_document import Item
from deepseek_async.errors import ConfigurationError
from deepseek_async.text.quoting import plain

_MOST_SECRET_BYTES: Final = 64 * 1024


class Given(msgspec.Struct, frozen=True):
    """A setting present in the file."""

    value: Any
    line: int
    reference: str | None = None
    """The reference it was written as: env:NAME or file:PATH."""

    # The value may be the API key.
    __repr__ = object.__repr__


def check(document: Item, name: str, environment: Mapping[str, str]) -> dict[str, Given]:
    """Return the settings of a file, by dotted name such as ``retry_policy.max_attempts``.

    A section in its short form has its own name. Raises ConfigurationError with the line and the nearest valid name.
    """
    checker = _Checker(name, environment)
    top = checker.mapping(document, "the file")
    checker.known(top, ("deepseek", "security_settings"), "")
    inside = checker.mapping(top["deepseek"], "deepseek") if "deepseek" in top else {}
    if "security_settings" in top:
        if "security_settings" in inside:
            first = inside["security_settings"].line
            raise checker.error(top["security_settings"].line, f"duplicate security_settings, first on line {first}")
        inside = {**inside, "security_settings": top["security_settings"]}
    checker.known(inside, SCHEMA, "deepseek.")
    found: dict[str, Given] = {}
    for key, item in inside.items():
        found |= checker.entry(key, SCHEMA[key], item)
    return found


class _Checker:
    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        self._environment = environment

    def error(self, line: int, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{self._name}, line {line}: {problem}")

    def mapping(self, item: Item, what: str) -> dict[str, Item]:
        if item.value is None:
            return {}
        if not isinstance(item.value, dict):
            raise self.error(item.line, f"{what} must be a mapping, got {_shown(item.value)}")
        return item.value

    def known(self, found: Mapping[str, Item], names: Iterable[str], prefix: str) -> None:
        for key, item in found.items():
            if key not in names:
                hint = f"allowed: {', '.join(sorted(names))}"
                if not prefix and key in SCHEMA:
                    hint = "move it under deepseek:"
                elif near := _nearest(key, list(names)):
                    hint = f"did you mean {near!r}?"
                raise self.error(item.line, f"unknown setting {prefix}{plain(key)}; {hint}")

    def entry(self, name: str, entry: Entry, item: Item) -> dict[str, Given]:
        if item.value is None:
            return {}  # a key without a value
        if isinstance(entry, SettingKey):
            return {name: self._value(name, entry, item)}
        if not isinstance(item.value, dict):
            if entry.short is None:
                self.mapping(item, name)
            return {name: self._value(name, _short(entry), item)}
        self.known(item.value, entry.keys, f"{name}.")
        found: dict[str, Given] = {}
        for key, inner in item.value.items():
            if inner.value is not None:
                found[f"{name}.{key}"] = self._value(f"{name}.{key}", entry.keys[key], inner)
        return found

    def _value(self, name: str, key: SettingKey, item: Item) -> Given:
        value, reference = _unwrapped(item.value), None
        if isinstance(value, str) and value.startswith(("env:", "file:")):
            reference = value
            value = self._fetched(name, item.line, value)
        if not key.kind.accepts(value):
            shown = (
                "a reference to another type"
                if reference
                else "a value of another type"
                if key.secret
                else _shown(value)
            )
            raise self.error(item.line, f"{name} must be {key.kind.name}, got {shown}")
        if key.secret and isinstance(value, str):
            value = Secret(value)
        return Given(value, item.line, reference)

    def _fetched(self, name: str, line: int, reference: str) -> str:
        kind, _, place = reference.partition(":")
        if kind == "env":
            value = self._environment.get(place.strip())
            if value is None:
                raise self.error(line, f"{name}: environment variable {place.strip()} is not set")
            return value
        path = Path(place.strip()).expanduser()
        try:
            with path.open("rb") as file:
                content = file.read(_MOST_SECRET_BYTES + 1)
        except OSError as error:
            raise self.error(line, f"{name}: cannot read {path}: {error.strerror}") from None
        if len(content) > _MOST_SECRET_BYTES:
            raise self.error(line, f"{name}: {path} is larger than {_MOST_SECRET_BYTES:,} bytes")
        return content.decode("utf-8", "replace").strip()


def _nearest(key: str, names: list[str]) -> str | None:
    """Return the setting that ``key`` probably means: the name of an argument, or a misspelling."""
    if (meant := ARGUMENTS.get(key)) in names:
        return meant
    return next(iter(get_close_matches(key, names, n=1, cutoff=0.55)), None)


def _short(section: Section) -> SettingKey:
    assert section.short is not None  # noqa: S101  checked by the caller
    return SettingKey(section.short, section.about)


def _unwrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unwrapped(item.value) for name, item in value.items()}
    return [_unwrapped(item.value) for item in value] if isinstance(value, list) else value


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return plain(repr(value))[:80]


def environment_of(environment: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return ``environment``, or the process environment if None."""
    return os.environ if environment is None else environment
