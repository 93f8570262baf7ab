"""Ids that a simulator of this library gives, by which what it made up is known wherever it is kept. Pure."""

from __future__ import annotations

from typing import Final

MARK: Final = "51a1a7ed51a1a7ed"
"""How every such id begins, of an answer and of a trace; sixteen digits, so that no other id does by chance."""
_START: Final = MARK[:8]
_KINDS: Final = {"resp": "resp_", "ocr-": "ocr-"}
"""What stands before the ids of responses and of documents that were read."""
_DASHED: Final = f"{MARK[:8]}-{MARK[8:12]}-{MARK[12:16]}-"


def is_simulated(name: str | None) -> bool:
    """Whether a simulator gave the id of an answer, or of a trace."""
    if name is None:
        return False
    if name[:4] in _KINDS:
        name = name[len(_KINDS[name[:4]]) :]
    # Of a job's rows all are asked, and hardly any begins so.
    return name[:8] == _START and name.startswith((MARK, _DASHED))
