"""An answer that is read aloud while it is still being written. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from deepseek_async import AsyncDeepSeek

QUESTION = [{"role": "user", "content": "Explain tides to a child."}]


async def main(folder: Path) -> None:
    async with AsyncDeepSeek() as client:
        asked = {"model": "deepseek-flash", "messages": QUESTION, "stream": True}
        async with await client.chat.completions.create(**asked, thinking={"type": "disabled"}) as answer:
            audio = await client.tools.speech(answer.text_deltas())
            spoken = await audio.write_to(folder / "tides.pcm")
    print(f"{spoken.audio_bytes:,} bytes of audio for {spoken.characters:,} characters, {spoken.fees[0].cny:.5f} yuan")


with TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder)))
