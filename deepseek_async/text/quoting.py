"""Safe quotation of server text in error messages."""

from __future__ import annotations

from deepseek_async.text.redaction import redact


def quote(wire: bytes, limit: int = 200) -> str:
    """Return at most ``limit`` characters of ``wire``, with control characters escaped and keys masked.

    Server text is untrusted: its escape sequences must not reach a terminal.
    """
    # Redact before truncating: half a key would not match.
    room = 8 * limit
    text = plain(redact(wire[:room].decode("utf-8", "replace"), cut=len(wire) > room))
    return f"{text[:limit]!r}{'…' if len(wire) > limit else ''}"


def plain(text: str) -> str:
    """Return ``text`` on one line, with control and other unprintable characters escaped: ``\\u001b``."""
    if text.isprintable():
        return text.strip()
    return "".join(
        character if character.isprintable() else " " if character.isspace() else written_out(character)
        for character in text
    ).strip()


def written_out(character: str) -> str:
    """Return the JSON escape of one character, so that text inside JSON keeps its meaning."""
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
