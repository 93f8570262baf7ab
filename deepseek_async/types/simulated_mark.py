"""Ids issued by this library's simulator, which identify simulated answers wherever they are stored. Pure."""

from __future__ import annotations

from typing import Final

MARK: Final = "51a1a7ed51a1a7ed"
"""Prefix of simulated answer and trace ids; sixteen digits, so that no other id has it by chance."""
_START: Final = MARK[:8]
_KINDS: Final = {"resp": "resp_", "ocr-": "ocr-"}
"""Prefixes of the ids of responses and of OCR results."""
_DASHED: Final = f"{MARK[:8]}-{MARK[8:12]}-{MARK[12:16]}-"


def is_simulated(name: str | None) -> bool:
    """Whether an answer or trace id was issued by a simulator."""
    if name is None:
        return False
    if name[:4] in _KINDS:
        name = name[len(_KINDS[name[:4]]) :]
    # Called for every row of a job, of which hardly any matches.
    return name[:8] == _START and name.startswith((MARK, _DASHED))
