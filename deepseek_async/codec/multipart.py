"""A file and its fields as multipart/form-data (RFC 7578), once; a retry sends the same bytes again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b


def encode_form(
    fields: Mapping[str, str],
    filename: str,
    content: bytes,
    content_type: str = "application/octet-stream",
) -> tuple[bytes, str]:
    """The body, and the value of its Content-Type header.

    The boundary is a digest of the content, which the content cannot hold; so equal uploads are equal bytes.
    """
    boundary = blake2b(content, digest_size=16).hexdigest()
    pieces = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    pieces += [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_escaped(filename)}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n".encode(),
        content,
        f"\r\n--{boundary}--\r\n".encode(),
    ]
    return b"".join(pieces), f"multipart/form-data; boundary={boundary}"


def _escaped(name: str) -> str:
    """As browsers write names (HTML standard, multipart/form-data encoding algorithm)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
