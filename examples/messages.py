"""Anthropic's format, streamed, with a tool and its result. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio
from typing import Any

from deepseek_async import AsyncDeepSeek

WEATHER = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


async def main() -> None:
    turns: list[dict[str, Any]] = [{"role": "user", "content": "What is the weather in Oslo? Use the weather tool."}]
    async with AsyncDeepSeek() as client:
        while True:
            async with client.messages.stream(model="deepseek-flash", messages=turns, tools=[WEATHER]) as stream:
                async for text in stream.text_stream:
                    print(text, end="", flush=True)
                message = await stream.get_final_message()
            turns.append({"role": "assistant", "content": message.content})  # as it came, signatures included
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                break
            results = [{"type": "tool_result", "tool_use_id": call.id, "content": "3 °C, rain"} for call in calls]
            turns.append({"role": "user", "content": results})
    print(f"\n{message.stop_reason}, {message.usage.output_tokens if message.usage else 0} tokens")


asyncio.run(main())
