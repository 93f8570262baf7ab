"""Uploaded files, kept in memory and apart by account."""

from __future__ import annotations

from typing import Any

from deepseek_async.simulator.services.request import Binary, Outcome, ServiceRequest, WrongRequestError, missing

# DeepSeek docs, Files guide.
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_FILES = 10_000
LIVE_PURPOSE = "user_data"


class Files:
    """`/files`. The live service takes images for `user_data` only; `any_purpose` lifts that."""

    def __init__(self, *, any_purpose: bool) -> None:
        self._any_purpose = any_purpose
        self._kept: dict[str, dict[str, tuple[dict[str, Any], bytes]]] = {}
        self._serial = 0

    def create(self, request: ServiceRequest) -> Outcome:
        """`POST /files`."""
        upload = request.upload
        if upload is None:
            raise WrongRequestError("Invalid 'file': expected a file in multipart/form-data")
        if not upload.purpose:
            raise WrongRequestError("Invalid 'purpose': expected a non-empty string")
        if not self._any_purpose and upload.purpose != LIVE_PURPOSE:
            raise WrongRequestError(f"Invalid 'purpose': expected {LIVE_PURPOSE}")
        if len(upload.content) > MAX_FILE_BYTES:
            raise WrongRequestError(f"Invalid 'file': expected at most {MAX_FILE_BYTES} bytes", 413)
        kept = self._kept.setdefault(request.account, {})
        if len(kept) >= MAX_FILES:
            raise WrongRequestError(f"You have {MAX_FILES} files already; delete some first")
        self._serial += 1
        described = {
            "id": f"file-{self._serial:024x}",
            "object": "file",
            "bytes": len(upload.content),
            "created_at": request.now,
            "filename": upload.filename,
            "purpose": upload.purpose,
            "status": "processed",
        }
        kept[str(described["id"])] = (described, upload.content)
        return described

    def list(self, request: ServiceRequest) -> Outcome:
        """`GET /files`, newest first."""
        files = [described for described, _ in self._kept.get(request.account, {}).values()]
        return {"object": "list", "data": files[::-1], "has_more": False}

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

    def _found(self, request: ServiceRequest) -> tuple[dict[str, Any], bytes]:
        try:
            return self._kept[request.account][request.ids[0]]
        except KeyError:
            raise missing("file", request.ids[0]) from None
