"""File endpoints; files are kept in memory, separately by account."""

from __future__ import annotations

import re
from itertools import dropwhile
from typing import Any

from deepseek_async.simulator.services.request import (
    Binary,
    Outcome,
    ServiceRequest,
    Unparsed,
    Upload,
    WrongRequestError,
    missing,
    number,
    one_of,
)

# DeepSeek docs, Files and File Parsing guides.
_MIB = 1024 * 1024
MAX_PICTURE = 64 * _MIB
MAX_DOCUMENT = 100 * _MIB
MAX_TEXT = 32 * _MIB
MAX_FILES = 10_000
MAX_NAME = 512
LIVE_PURPOSE = "user_data"
PARSED = ("text_recognition", "rich_layout_recognition")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")
_DOCUMENTS = (b"%PDF", b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_LIFE = (3_600, 2_592_000)
_PAGE = re.compile(rb"/Type\s*/Page(?!s)")


class Files:
    """`/files`. The live service accepts images and documents only; `any_purpose` lifts that."""

    def __init__(self, *, any_purpose: bool) -> None:
        self._any_purpose = any_purpose
        self._kept: dict[str, dict[str, tuple[dict[str, Any], bytes]]] = {}
        self._serial = 0

    def create(self, request: ServiceRequest) -> Outcome:
        """`POST /files`."""
        upload = request.upload
        if upload is None:
            raise WrongRequestError("Invalid 'file': expected a file in multipart/form-data")
        self._check(upload)
        if len(self._of(request)) >= MAX_FILES:
            raise WrongRequestError(f"You have {MAX_FILES} files already; delete some first")
        self._serial += 1
        parsed = upload.purpose in PARSED
        described = {
            "id": f"file-api-{self._serial:032x}" if parsed else f"file-{self._serial:024x}",
            "object": "file",
            "bytes": len(upload.content),
            "created_at": request.now,
            "filename": upload.filename,
            "purpose": upload.purpose,
            **_end_of_life(upload, request.now),
        }
        if parsed:
            return Unparsed(described, upload.content, pages_of(upload.content))
        described["status"] = "processed"
        self.store(request.account, described, upload.content)
        return described

    def store(self, account: str, described: dict[str, Any], content: bytes) -> None:
        """Make the file available."""
        self._kept.setdefault(account, {})[described["id"]] = (described, content)

    def list(self, request: ServiceRequest) -> Outcome:
        """`GET /files`."""
        asked: dict[str, Any] = dict(request.query)
        if str(asked.get("limit", "1")).isdigit():
            asked["limit"] = int(asked.get("limit", 1_000))
        most = number(asked, "limit", 1, 1_000, 1_000) or 1_000
        files = [each for each, _ in self._of(request).values() if asked.get("purpose") in (None, each["purpose"])]
        if one_of(asked, "order", ("asc", "desc"), "asc") == "desc":
            files.reverse()
        after = asked.get("after")
        if after is not None:
            files = list(dropwhile(lambda each: each["id"] != after, files))[1:]
        page = files[:most]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return {"object": "list", "data": page, **ends, "has_more": len(files) > most}

    def retrieve(self, request: ServiceRequest) -> Outcome:
        """`GET /files/{id}`."""
        return self._found(request)[0]

    def content(self, request: ServiceRequest) -> Outcome:
        """`GET /files/{id}/content`."""
        return Binary(self._found(request)[1], "application/octet-stream")

    def delete(self, request: ServiceRequest) -> Outcome:
        """`DELETE /files/{id}`."""
        self._found(request)
        del self._kept[request.account][request.ids[0]]
        return {"id": request.ids[0], "object": "file", "deleted": True}

    def knows(self, account: str, name: str) -> bool:
        return name in self._kept.get(account, {})

    def read(self, account: str, name: str, now: int) -> tuple[dict[str, Any], bytes] | None:
        """Return metadata and content of a file; None if it does not exist."""
        kept = self._kept.get(account, {}).get(name)
        return kept if kept is not None and kept[0].get("expires_at", now + 1) > now else None

    def _of(self, request: ServiceRequest) -> dict[str, tuple[dict[str, Any], bytes]]:
        kept = self._kept.get(request.account, {})
        return {name: kept[name] for name in kept if self.read(request.account, name, request.now)}

    def _found(self, request: ServiceRequest) -> tuple[dict[str, Any], bytes]:
        found = self.read(request.account, request.ids[0], request.now)
        if found is None:
            raise missing("file", request.ids[0])
        return found

    def _check(self, upload: Upload) -> None:
        if not upload.purpose:
            raise WrongRequestError("Invalid 'purpose': expected a non-empty string")
        known = (LIVE_PURPOSE, *PARSED)
        if not self._any_purpose and upload.purpose not in known:
            raise WrongRequestError(f"Invalid 'purpose': expected one of {', '.join(known)}")
        if upload.purpose in PARSED and upload.fields[-1:] != ("file",):
            raise WrongRequestError("Invalid form: 'purpose' must come before 'file'")
        if not 0 < len(upload.filename) <= MAX_NAME:
            raise WrongRequestError(f"Invalid 'file': expected a name of at most {MAX_NAME} characters")
        most = _most(upload)
        if len(upload.content) > most:
            raise WrongRequestError(f"Invalid 'file': expected at most {most} bytes", 413)


def _most(upload: Upload) -> int:
    if upload.purpose not in PARSED or upload.content.startswith(_PICTURES):
        return MAX_PICTURE
    return MAX_DOCUMENT if upload.content.startswith(_DOCUMENTS) else MAX_TEXT


def _end_of_life(upload: Upload, now: int) -> dict[str, int]:
    anchor, seconds = (upload.values.get(f"expires_after[{name}]") for name in ("anchor", "seconds"))
    if anchor is None and seconds is None:
        return {}
    if anchor != "created_at":
        raise WrongRequestError("Invalid 'expires_after[anchor]': expected created_at")
    low, high = _LIFE
    if seconds is None or not seconds.isdigit() or not low <= int(seconds) <= high:
        raise WrongRequestError(f"Invalid 'expires_after[seconds]': expected an integer between {low} and {high}")
    return {"expires_at": now + int(seconds)}


def pages_of(content: bytes) -> int:
    """Count the page objects of a PDF; in anything else, the parts separated by form feeds."""
    if content.startswith(b"%PDF"):
        return len(_PAGE.findall(content)) or 1
    return 1 if content.startswith((*_PICTURES, *_DOCUMENTS)) else content.count(b"\f") + 1
