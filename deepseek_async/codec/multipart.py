"""Encoding of a file upload as multipart/form-data (RFC 7578), deterministic for retries. Pure."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from deepseek_async.files.upload import PIECE, Content, UploadBody, UploadProgress, digest_of
from deepseek_async.text.unicode import encodable
from deepseek_async.types.json_text import write


class MultipartForm(msgspec.Struct, frozen=True, gc=False):
    """One file and its form fields."""

    fields: Mapping[str, str]
    filename: str
    content: Content
    content_type: str = "application/octet-stream"
    progress: UploadProgress | None = None
    """Called with the bytes sent so far; the body is then streamed, however small."""
    mark: str = ""
    """Precomputed boundary."""

    def __repr__(self) -> str:
        return f"<Form of {len(self.content):,} bytes>"

    @property
    def boundary(self) -> str:
        """A digest of the content, which the content cannot contain; equal uploads are equal bytes."""
        return self.mark or digest_of(self.content)

    def marked(self) -> MultipartForm:
        """Return the form with its boundary; takes 0.5 s for 100 MiB in memory, so call it off the event loop."""
        return msgspec.structs.replace(self, mark=self.boundary)

    @property
    def header(self) -> str:
        """Value of the Content-Type header."""
        return f"multipart/form-data; boundary={self.boundary}"

    def encoded(self) -> bytes | UploadBody:
        """Return the body; streamed if it is large or a file on disk."""
        boundary = self.boundary
        pieces = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"\r\n\r\n'
            f"{encodable(value)}\r\n".encode()
            for name, value in self.fields.items()
        ]
        pieces += [
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_escaped(self.filename)}"\r\n'
            f"Content-Type: {self.content_type}\r\n\r\n".encode(),
        ]
        tail = f"\r\n--{boundary}--\r\n".encode()
        if isinstance(self.content, bytes) and len(self.content) <= PIECE and self.progress is None:
            return b"".join((*pieces, self.content, tail))
        return UploadBody(b"".join(pieces), self.content, tail, self.progress or UploadProgress())

    @property
    def names(self) -> tuple[str, ...]:
        """File names that the server may report: as given, as sent, or without directories."""
        return self.filename, _escaped(self.filename), self.filename.rpartition("/")[2]

    def about(self) -> bytes:
        """Return the metadata of the file as JSON."""
        return write({**self.fields, "filename": self.filename})

    def texts(self) -> dict[str, Any]:
        """Return the readable texts: the fields, the file name, and the content if it is UTF-8 text."""
        texts: dict[str, Any] = {**self.fields, "filename": self.filename}
        with suppress(UnicodeDecodeError):  # e.g. an image
            texts["file"] = _text_of(self.content)
        return texts

    def with_texts(self, texts: Mapping[str, Any]) -> MultipartForm:
        """Return this form with ``texts`` replaced."""
        file = texts.get("file")
        return msgspec.structs.replace(
            self,
            fields={name: texts[name] for name in self.fields},
            filename=texts["filename"],
            content=self.content if file is None else file.encode(),
            mark=self.mark if file is None else "",
        )


def _text_of(content: Content) -> str:
    """Return ``content`` as text. Raises UnicodeDecodeError if it is not UTF-8, usually after its first bytes."""
    if isinstance(content, bytes):
        return content.decode()
    getincrementaldecoder("utf-8")().decode(content.start(PIECE))
    return content.read().decode()


def _escaped(name: str) -> str:
    """Escape like browsers (HTML standard, multipart/form-data encoding algorithm); a name on disk may be invalid
    UTF-8."""
    return encodable(name).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
