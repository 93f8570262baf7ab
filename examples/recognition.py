"""The pages of a document and the words of a recording. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio
import io
import wave

from deepseek_async import AsyncDeepSeek

LETTER = b"%PDF-1.7 Dear reader, \x0csincerely yours"


def silence(seconds: int) -> bytes:
    wire = io.BytesIO()
    with wave.open(wire, "wb") as recording:
        recording.setparams((1, 2, 16_000, 0, "NONE", ""))
        recording.writeframes(bytes(2 * 16_000 * seconds))
    return wire.getvalue()


async def main() -> None:
    async with AsyncDeepSeek() as client:
        read = await client.tools.ocr(("letter.pdf", LETTER), purpose="text_recognition")  # or a path
        heard = await client.tools.transcribe(("memo.wav", silence(2)))
    print(read.text)
    if read.cut_pages:
        print(f"incomplete: pages {read.cut_pages}")
    print(heard.text)
    for fee in (*read.fees, *heard.fees):
        print(f"paid: {fee}")


asyncio.run(main())
