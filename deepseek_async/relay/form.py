"""Reading of multipart/form-data (RFC 7578), as SDKs send uploads. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

import msgspec

from deepseek_async.errors import InvalidRequestError

_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_NAME: Final = re.compile(rb'[;\s]name="([^"]*)"', re.IGNORECASE)
_FILENAME: Final = re.compile(rb'[;\s]filename="([^"]*)"', re.IGNORECASE)
_FILENAME_ENCODED: Final = re.compile(rb"[;\s]filename\*=UTF-8''([^;\s]+)", re.IGNORECASE)


class ReceivedForm(msgspec.Struct, frozen=True):
    """Fields and files of a form, by name; of several with one name, the last."""

    fields: dict[str, str]
    files: dict[str, tuple[str, bytes]]
    """File name and content."""

    __repr__ = object.__repr__


def read_form(body: bytes, content_type: str) -> ReceivedForm:
    """Return the form in ``body``. Raises InvalidRequestError if it is none."""
    marked = _BOUNDARY.search(content_type)
    if marked is None or not content_type.lower().startswith("multipart/form-data"):
        raise InvalidRequestError(f"an upload must be multipart/form-data with a boundary, got {content_type!r:.100}")
    boundary = b"--" + (marked[1] or marked[2]).encode()
    form = ReceivedForm({}, {})
    _, *parts = (b"\r\n" + body).split(b"\r\n" + boundary)
    if not parts or not parts[-1].startswith(b"--"):
        raise InvalidRequestError("the upload is incomplete: its form has no end")
    for part in parts[:-1]:
        head, separator, content = part.partition(b"\r\n\r\n")
        named = _NAME.search(head)
        if not separator or named is None:
            raise InvalidRequestError("a part of the upload's form has no name")
        name = named[1].decode("utf-8", "replace")
        filename = _filename(head)
        if filename is None:
            form.fields[name] = content.decode("utf-8", "replace")
        else:
            form.files[name] = filename, content
    return form


def _filename(head: bytes) -> str | None:
    encoded, plain = _FILENAME_ENCODED.search(head), _FILENAME.search(head)
    if encoded is not None:
        return unquote(encoded[1].decode("ascii", "replace"))
    return None if plain is None else unquote(plain[1].decode("utf-8", "replace"))
