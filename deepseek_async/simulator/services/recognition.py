"""Document recognition and transcription: `/v1/tools/ocr` and `/v1/tools/asr`. Form feeds separate pages."""

from __future__ import annotations

import io
import wave
from hashlib import blake2b

from deepseek_async.simulator.services.request import Charged, Outcome, ServiceRequest, Upload, WrongRequestError

# DeepSeek docs, OCR and ASR guides.
MAX_DOCUMENT = 100 * 1024 * 1024
MAX_RECORDING = 8 * 1024 * 1024
MAX_PAGES = 1000
MAX_SECONDS = 120
PURPOSES = ("text_recognition", "rich_layout_recognition")
_TOKENS_OF_A_PAGE = 768
_OPUS_MILLISECONDS = 1_000


class Recognition:
    """Every page whose number is a multiple of `cut_every` ends with `length`; 0 = none."""

    def __init__(self, cut_every: int) -> None:
        self._cut_every = cut_every

    def ocr(self, request: ServiceRequest) -> Outcome:
        """`POST /v1/tools/ocr`: exactly two fields."""
        upload = _upload(request, ("file", "purpose"), MAX_DOCUMENT)
        if upload.purpose not in PURPOSES:
            raise WrongRequestError(f"Invalid 'purpose': expected one of {', '.join(PURPOSES)}")
        texts = upload.content.split(b"\f")
        if len(texts) > MAX_PAGES:
            raise WrongRequestError(f"Too many pages: expected at most {MAX_PAGES}")
        pages = [
            {
                "index": index,
                "text": _page(text),
                "finish_reason": "length" if self._cut_every and not (index + 1) % self._cut_every else "stop",
            }
            for index, text in enumerate(texts)
        ]
        tokens = _TOKENS_OF_A_PAGE * len(pages)
        name = blake2b(upload.content, digest_size=16).hexdigest()
        body = {
            "id": f"ocr-{name}",
            "object": "ocr.result",
            "created": request.now,
            "purpose": upload.purpose,
            "page_count": len(pages),
            "pages": pages,
            "usage": {"input_tokens": tokens, "output_tokens": len(pages), "total_tokens": tokens + len(pages)},
        }
        return Charged(body, {"page": len(pages)})

    def transcribe(self, request: ServiceRequest) -> Outcome:
        """`POST /v1/tools/asr`: the file only."""
        upload = _upload(request, ("file",), MAX_RECORDING)
        milliseconds = _milliseconds(upload.content)
        if milliseconds > MAX_SECONDS * 1_000:
            raise WrongRequestError(f"Audio too long: expected at most {MAX_SECONDS} seconds")
        name = blake2b(upload.content, digest_size=16).hexdigest()
        dashed = f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}"
        said = f"A recording of {milliseconds} milliseconds."
        body = {"request_id": dashed, "text": said, "duration_ms": milliseconds}
        return Charged(body, {"audio_seconds": -(-milliseconds // 1_000)})


def _upload(request: ServiceRequest, fields: tuple[str, ...], most: int) -> Upload:
    upload = request.upload
    if upload is None or not upload.filename:
        raise WrongRequestError("Invalid 'file': expected a file with a name in multipart/form-data")
    if sorted(upload.fields) != sorted(fields):
        raise WrongRequestError(f"Invalid form: expected exactly {', '.join(fields)}")
    if len(upload.content) > most:
        raise WrongRequestError(f"Invalid 'file': expected at most {most} bytes", 413)
    return upload


def _page(text: bytes) -> str:
    try:
        return text.decode().strip() or "An empty page."
    except UnicodeDecodeError:
        return f"A page of {len(text)} bytes."


def _milliseconds(content: bytes) -> int:
    if content[:4] == b"OggS" and b"OpusHead" in content[:512]:
        return _OPUS_MILLISECONDS
    try:
        with wave.open(io.BytesIO(content)) as recording:
            if recording.getsampwidth() != 2:
                raise WrongRequestError("Invalid 'file': expected 16-bit PCM")
            return int(recording.getnframes()) * 1_000 // int(recording.getframerate())
    except (wave.Error, EOFError):
        raise WrongRequestError("Invalid 'file': expected WAV or Ogg Opus") from None
