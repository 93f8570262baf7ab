"""A file and its fields as multipart/form-data (RFC 7578), once; a retry sends the same bytes again. Pure."""

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
    """One file and what is said of it."""

    fields: Mapping[str, str]
    filename: str
    content: Content
    content_type: str = "application/octet-stream"
    progress: UploadProgress | None = None
    """Told how far it has gone out; then it goes piece by piece, however small."""
    mark: str = ""
    """Its boundary, if that has been looked for already."""

    def __repr__(self) -> str:
        return f"<Form of {len(self.content):,} bytes>"

    @property
    def boundary(self) -> str:
        """A digest of the content, which the content cannot hold; so equal uploads are equal bytes."""
        return self.mark or digest_of(self.content)

    def marked(self) -> MultipartForm:
        """The same with its boundary, which takes half a second for 100 MiB in memory: off the event loop."""
        return msgspec.structs.replace(self, mark=self.boundary)

    @property
    def header(self) -> str:
        """The value of Content-Type."""
        return f"multipart/form-data; boundary={self.boundary}"

    def encoded(self) -> bytes | UploadBody:
        """The body; a large one, or one of a file on disk, to be sent piece by piece."""
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
        """What the server may call the file: its name, what was written for it, or its name without folders."""
        return self.filename, _escaped(self.filename), self.filename.rpartition("/")[2]

    def about(self) -> bytes:
        """What is said of the file, as JSON."""
        return write({**self.fields, "filename": self.filename})

    def texts(self) -> dict[str, Any]:
        """What there is to read: the fields, the file's name, and its content if it is text in UTF-8."""
        texts: dict[str, Any] = {**self.fields, "filename": self.filename}
        with suppress(UnicodeDecodeError):  # a picture, for example
            texts["file"] = _text_of(self.content)
        return texts

    def with_texts(self, texts: Mapping[str, Any]) -> MultipartForm:
        """This form with other ``texts`` in their places."""
        file = texts.get("file")
        return msgspec.structs.replace(
            self,
            fields={name: texts[name] for name in self.fields},
            filename=texts["filename"],
            content=self.content if file is None else file.encode(),
            mark=self.mark if file is None else "",
        )


def _text_of(content: Content) -> str:
    """``content`` if it is text in UTF-8. Raises UnicodeDecodeError, most often after a look at its beginning."""
    if isinstance(content, bytes):
        return content.decode()
    getincrementaldecoder("utf-8")().decode(content.start(PIECE))
    return content.read().decode()


def _escaped(name: str) -> str:
    """As browsers write names (HTML standard, multipart/form-data encoding algorithm); on disk they may be no UTF-8."""
    return encodable(name).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
