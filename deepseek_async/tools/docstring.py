"""Docstring parser for descriptions of functions and parameters: Google, NumPy and Sphinx style. Pure."""

from __future__ import annotations

import inspect
import re
from typing import Final

_SPHINX: Final = re.compile(r"^:param(?:\s+[^:]+?)?\s+(\*{0,2}\w+):\s*(.*)$")
_GOOGLE_SECTION: Final = re.compile(r"^(Args|Arguments|Parameters):\s*$")
_GOOGLE_ENTRY: Final = re.compile(r"^(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")
_NUMPY_ENTRY: Final = re.compile(r"^(\w+)\s*(?::.*)?$")
_OTHER_SECTION: Final = re.compile(r"^(Returns?|Raises|Yields|Examples?|Notes?|See Also)(:.*)?$")


def described(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Return the description of a function without its sections, and those of its parameters by name."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    parameters: dict[str, str] = {}
    text: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        sphinx = _SPHINX.match(line)
        if sphinx:
            more, index = _indented(lines, index + 1)
            parameters[sphinx[1]] = " ".join([sphinx[2], *more]).strip()
        elif _GOOGLE_SECTION.match(line):
            body, index = _indented_raw(lines, index + 1)
            parameters |= _google(body)
        elif line.strip() == "Parameters" and index + 1 < len(lines) and set(lines[index + 1].strip()) == {"-"}:
            index = _numpy(lines, index + 2, parameters)
        elif line.startswith(":") or _OTHER_SECTION.match(line):
            break
        else:
            text.append(line)
            index += 1
    return "\n".join(text).strip(), parameters


def _indented_raw(lines: list[str], start: int) -> tuple[list[str], int]:
    end = start
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith((" ", "\t"))):
        end += 1
    return lines[start:end], end


def _indented(lines: list[str], start: int) -> tuple[list[str], int]:
    body, end = _indented_raw(lines, start)
    return [line.strip() for line in body if line.strip()], end


def _google(body: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc("\n".join(body)).splitlines():
        entry = _GOOGLE_ENTRY.match(line)
        if entry:
            name = entry[1]
            found[name] = entry[2].strip()
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _numpy(lines: list[str], index: int, parameters: dict[str, str]) -> int:
    while index < len(lines):
        entry = _NUMPY_ENTRY.match(lines[index])
        if not entry or (index + 1 < len(lines) and set(lines[index + 1].strip()) == {"-"}):
            break
        said, index = _indented(lines, index + 1)
        parameters[entry[1]] = " ".join(said)
    return index
