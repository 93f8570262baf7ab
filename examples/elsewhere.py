"""Embeddings and pictures, which DeepSeek does not have, from a server that has them, beside chat from DeepSeek.

Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL, and for the other server OTHER_BASE_URL and OTHER_API_KEY; neither
server ever gets the other's key.
"""

import asyncio
import base64
import os
from pathlib import Path

from deepseek_async import AsyncDeepSeek, Endpoint


async def main() -> None:
    other = Endpoint(os.environ["OTHER_BASE_URL"], os.environ.get("OTHER_API_KEY"))
    async with AsyncDeepSeek(endpoints={"embeddings": other, "images": other}) as client:
        texts = ["the cat sat on the mat", "a cat sat on a mat", "interest rates rose again"]
        one, *others = await client.embeddings.create(model="deepseek-embedding", input=texts)
        for text, vector in zip(texts[1:], others, strict=True):
            print(f"{sum(a * b for a, b in zip(one, vector, strict=True)):.2f} {text}")
        pictures = await client.images.generate(
            prompt="a fox in the snow",
            size="1024x1024",
            num_images=2,
            style="cartoon",
            response_format="b64_json",
        )
        for number, picture in enumerate(pictures):
            path = Path(f"fox-{number}.png")
            await asyncio.to_thread(path.write_bytes, base64.b64decode(picture.b64_json or ""))
            print(path)


asyncio.run(main())
