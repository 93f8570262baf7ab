"""The tutorials' `call_deepseek`: a prompt in, the answer's JSON out. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL.

DeepSeek continues a bare prompt rather than answering it; to ask a question, take chat as in `ten_lines.py`.
"""

import asyncio
from typing import Any

from deepseek_async import AsyncDeepSeek


async def call_deepseek(prompt: str, model: str = "deepseek-chat", temperature: float = 0.7) -> dict[str, Any]:
    async with AsyncDeepSeek() as client:
        done = await client.completions.create(model=model, prompt=prompt, temperature=temperature, max_tokens=2000)
        return done.to_dict()


print(asyncio.run(call_deepseek("用Python实现快速排序"))["choices"][0]["text"])
