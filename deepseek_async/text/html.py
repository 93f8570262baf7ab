"""HTML that a notebook shows for answers, reports and statistics. Pure.

All text is escaped: answers, errors and model names may have been written by anybody. The text of an answer is
preformatted, which notebooks exempt from Markdown and mathematics, and its direction ends with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from deepseek_async.text.number_format import counted

_TEXT: Final = '<pre dir="auto" style="white-space:pre-wrap;unicode-bidi:isolate;text-align:start">{}</pre>'


def escaped(text: object) -> str:
    """Return ``text`` as HTML, with a question mark for each lone surrogate, which UTF-8 cannot encode."""
    return escape(str(text).encode("utf-8", "replace").decode())


def answer_html(
    text: str | None, *facts: str | None, reasoning: str | None = None, calls: Iterable[str] = (), tokens: int | None
) -> str:
    """Return an answer: its reasoning folded, its text, the functions it calls, and a line of facts."""
    parts = list[str]()
    if reasoning:
        parts.append(f"<details><summary>reasoning</summary>{_TEXT.format(escaped(reasoning))}</details>")
    if text:
        parts.append(_TEXT.format(escaped(text)))
    parts += [_TEXT.format(escaped(call)) for call in calls]
    known = [*facts, None if tokens is None else counted(tokens, "token")]
    parts.append(f"<div><small>{' · '.join(escaped(fact) for fact in known if fact)}</small></div>")
    return f"<div>{''.join(parts)}</div>"


def table_html(header: Sequence[object], rows: Iterable[Sequence[object | None]]) -> str:
    """Return a table; None is an empty cell, and an empty header is left out."""
    head = f"<thead><tr>{_cells('th', header)}</tr></thead>" if header else ""
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    return f"<table>{head}<tbody>{body}</tbody></table>"


def _cells(tag: str, cells: Sequence[object | None]) -> str:
    shown = ("" if cell is None else escaped(cell) for cell in cells)
    return "".join(f'<{tag} style="text-align:left;unicode-bidi:isolate">{cell}</{tag}>' for cell in shown)
