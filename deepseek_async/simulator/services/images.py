"""Image generation: real PNG files, one coloured pattern per prompt and style. Pure."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from hashlib import blake2b

from deepseek_async.simulator.services.request import (
    Binary,
    Outcome,
    ServiceRequest,
    WrongRequestError,
    missing,
    number,
    one_of,
    text,
)

STYLES = ("realistic", "cartoon", "cyberpunk")
MAX_IMAGES = 4
_SIZE = re.compile(r"(\d{2,4})x(\d{2,4})")
_LARGEST = 2048
_NAME = re.compile(r"([0-9a-f]{24})-(\d{2,4})x(\d{2,4})\.png")


def generate(request: ServiceRequest) -> Outcome:
    """`POST /images/generations`. `num_images` is an alias of `n`."""
    body = request.body
    prompt = text(body, "prompt")
    count = number(body, "n", 1, MAX_IMAGES) or number(body, "num_images", 1, MAX_IMAGES) or 1
    style = one_of(body, "style", STYLES, STYLES[0])
    as_url = one_of(body, "response_format", ("url", "b64_json"), "url") == "url"
    width, height = _measures(text(body, "size", required=False) or "1024x1024")
    data = []
    for number_of_image in range(count):
        key = blake2b(f"{style}\0{number_of_image}\0{prompt}".encode("utf-8", "surrogatepass"), digest_size=12)
        name = f"{key.hexdigest()}-{width}x{height}.png"
        picture = (
            {"url": f"{request.base_url}/images/generated/{name}"}
            if as_url
            else {"b64_json": base64.b64encode(_png(key.digest(), width, height)).decode()}
        )
        data.append({**picture, "revised_prompt": f"{prompt} ({style})"})
    return {"created": request.now, "data": data}


def fetch(request: ServiceRequest) -> Outcome:
    """`GET /images/generated/{name}`: the name determines the image."""
    found = _NAME.fullmatch(request.ids[0])
    if found is None:
        raise missing("image", request.ids[0])
    width, height = _measures(f"{found[2]}x{found[3]}")
    return Binary(_png(bytes.fromhex(found[1]), width, height), "image/png")


def _measures(size: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(size)
    if found is None or max(int(found[1]), int(found[2])) > _LARGEST:
        raise WrongRequestError(f"Invalid 'size': expected WIDTHxHEIGHT up to {_LARGEST}, for example 1024x1024")
    return int(found[1]), int(found[2])


def _png(key: bytes, width: int, height: int) -> bytes:
    """Render stripes in two colours, one bit per pixel; the key determines widths and colours."""
    stripe = 1 + key[0] % 7
    row = bytes(0xFF if (column // stripe) % 2 else 0x00 for column in range(-(-width // 8)))
    other = bytes(byte ^ 0xFF for byte in row)
    lines = b"".join(b"\0" + (other if (line // (8 * stripe)) % 2 else row) for line in range(height))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)),
            _chunk(b"PLTE", key[1:7]),
            _chunk(b"IDAT", zlib.compress(lines, 1)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
