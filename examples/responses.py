"""JSON of a given shape, streamed in OpenAI's newer format. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio
import json

from deepseek_async import AsyncDeepSeek

CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "country": {"type": "string"}, "inhabitants": {"type": "integer"}},
    "required": ["name", "country", "inhabitants"],
    "additionalProperties": False,
}


async def main() -> None:
    shape = {"format": {"type": "json_schema", "name": "city", "schema": CITY}}
    async with (
        AsyncDeepSeek() as client,
        client.responses.stream(model="deepseek-flash", input="The largest city of Africa?", text=shape) as stream,
    ):
        async for event in stream:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
    print("\n" + ", ".join(json.loads(stream.response.output_text)))


asyncio.run(main())
