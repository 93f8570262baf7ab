"""YAML parser that records line numbers. The only module that imports PyYAML.

Values are built from the parser's nodes, so a file cannot construct objects; size, depth and aliases are bounded,
so a small file cannot expand into a large one.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from deepseek_async.errors import ConfigurationError
from deepseek_async.files.bounded_lines import content_of
from deepseek_async.text.quoting import plain

MOST_BYTES: Final = 256 * 1024
DEEPEST: Final = 8


class Item(msgspec.Struct, frozen=True):
    """A value and its line number."""

    value: Value
    line: int

    # The value may be the API key.
    __repr__ = object.__repr__


Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Any
"""A scalar, a list of Items, or a dict of Items by name."""


def read(path: Path) -> Item:
    """Parse the single document of a file. Raises ConfigurationError, with the line, if it is invalid."""
    try:
        text = content_of(path, MOST_BYTES).decode()
    except OSError as error:
        raise ConfigurationError(f"cannot read settings file {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"settings file {path} must be UTF-8: invalid byte at offset {error.start}") from None
    return parse(text, str(path))


def readable_by_others(path: Path) -> bool:
    """Whether other users of the machine can read the file."""
    return os.name == "posix" and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def parse(text: str, name: str) -> Item:
    """Like ``read``, for a string; errors show ``name``."""
    try:
        import yaml  # noqa: PLC0415  optional
    except ImportError:
        raise ConfigurationError('a settings file requires PyYAML: pip install "deepseek-async[yaml]"') from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark is not None else "its text"
        problem = plain(getattr(error, "problem", None) or "invalid YAML")
        raise ConfigurationError(f"{name}, {place}: {problem}") from None
    except RecursionError:
        raise ConfigurationError(f"cannot parse {name}: nested too deeply") from None
    if node is None:
        return Item({}, 1)
    return _Builder(name, yaml).item(node, 1)


class _Builder:
    """Converts YAML nodes to Items."""

    def __init__(self, name: str, yaml: Any) -> None:
        self._name = name
        self._yaml = yaml
        self._seen: set[int] = set()
        self._scalars = yaml.SafeLoader("")

    def item(self, node: Any, depth: int) -> Item:
        line = node.start_mark.line + 1
        if id(node) in self._seen:
            raise self._error(line, "aliases (*name) are not allowed; repeat the value")
        self._seen.add(id(node))
        if depth > DEEPEST:
            raise self._error(line, f"nesting must be at most {DEEPEST} levels deep")
        match node:
            case self._yaml.MappingNode():
                return Item(self._mapping(node, depth), line)
            case self._yaml.SequenceNode():
                return Item([self.item(child, depth + 1) for child in node.value], line)
        return Item(self._scalar(node, line), line)

    def _mapping(self, node: Any, depth: int) -> dict[str, Item]:
        found: dict[str, Item] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, self._yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise self._error(line, "keys must be strings")
            if key.value in found:
                first = found[key.value].line
                raise self._error(line, f"duplicate key {plain(key.value)!r}, first on line {first}")
            found[key.value] = Item(self.item(value, depth + 1).value, line)
        return found

    def _scalar(self, node: Any, line: int) -> Scalar:
        kind = node.tag.rpartition(":")[2]
        if not node.tag.startswith("tag:yaml.org,2002:") or kind not in {"str", "int", "float", "bool", "null"}:
            if kind == "timestamp":
                return str(node.value)
            raise self._error(
                line, f"tag {plain(node.tag)!r} is not allowed; values must be strings, numbers, true or false"
            )
        try:
            value: Scalar = self._scalars.construct_object(node)
        except (self._yaml.YAMLError, ValueError):
            raise self._error(line, f"{plain(node.value)!r} is not a valid {kind}") from None
        return value

    def _error(self, line: int, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{self._name}, line {line}: {problem}")
