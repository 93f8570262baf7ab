"""A short, harmless quotation of what a server sent, for error messages."""

from __future__ import annotations

from deepseek_async.text.redaction import redact


def quote(wire: bytes, limit: int = 200) -> str:
    """At most ``limit`` characters of ``wire`` with control characters escaped and keys masked.

    Server text is untrusted: escapes in it must not reach a terminal.
    """
    # Masked before it is cut: half a key would not be known any more.
    room = 8 * limit
    text = plain(redact(wire[:room].decode("utf-8", "replace"), cut=len(wire) > room))
    return f"{text[:limit]!r}{'…' if len(wire) > limit else ''}"


def plain(text: str) -> str:
    """``text`` on one line, with what a terminal would obey, and what cannot be seen, written out: ``\\u001b``."""
    if text.isprintable():
        return text.strip()
    return "".join(
        character if character.isprintable() else " " if character.isspace() else written_out(character)
        for character in text
    ).strip()


def written_out(character: str) -> str:
    """One character as JSON escapes it, so that a text in JSON stays what it is."""
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
