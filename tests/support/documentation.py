"""The documentation as tests read it: its pages, and what stands in fences on them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs/_generators"))

HIDDEN: Final = "hidden python"
"""The language of ``<!-- python … -->``: what a page prepares or checks without showing it."""

_FENCE: Final = re.compile(r"(?P<indent> *)```(?P<language>[a-z]*)(?P<rest>.*)")
_LINK: Final = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)\)")
_CODE: Final = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences, or in a hidden comment."""

    language: str
    text: str
    line: int
    """Of its first line, from 1."""


@dataclass(frozen=True, slots=True)
class Page:
    """A file of Markdown."""

    path: Path

    @property
    def name(self) -> str:
        """The path from the root of the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        """What stands in it."""
        return self.path.read_text()

    def blocks(self, *languages: str) -> list[Block]:
        """Its blocks in these languages, in their order."""
        return [block for block in blocks_of(self.text) if block.language in languages]

    def links(self) -> list[str]:
        """Where its links lead, without those inside code."""
        return links_of(self.text)


def links_of(text: str) -> list[str]:
    """Targets of the links in ``text``, without those inside code."""
    prose = _CODE.sub("``", without_blocks(text))
    return [found["target"] for found in _LINK.finditer(prose)]


def without_blocks(text: str) -> str:
    """``text`` without what stands between fences."""
    kept, inside = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def blocks_of(text: str) -> Iterator[Block]:
    """Every block of ``text``, from top to bottom."""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        fence = _FENCE.fullmatch(line)
        if fence is not None:
            indent = len(fence["indent"])
            inside = [inner[indent:] for _, inner in _until(lines, f"{fence['indent']}```")]
            yield Block(fence["language"], "\n".join(inside), number + 1)
        elif line.strip() == "<!-- python":
            inside = [inner for _, inner in _until(lines, "-->")]
            yield Block(HIDDEN, "\n".join(inside), number + 1)


def _until(lines: Iterator[tuple[int, str]], end: str) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        if line.rstrip() == end:
            return
        yield number, line
    raise ValueError(f"a block is not closed by {end!r}")


@cache
def anchors_of(text: str) -> frozenset[str]:
    """The names by which the headings of ``text`` are linked to."""
    headings = [line.lstrip("#").strip() for line in without_blocks(text).splitlines() if re.match(r"#+ ", line)]
    return frozenset(slug(heading) for heading in headings)


def slug(heading: str) -> str:
    """A heading as the end of a link."""
    words = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", words).strip().lower())


PAGES: Final = (
    *(Page(path) for path in sorted((ROOT / "docs").rglob("*.md"))),
    *(Page(ROOT / name) for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md") if (ROOT / name).exists()),
)
"""Every page that is written by hand and shows how to use the project."""
