"""A model that calls functions, from a script, and what it is asked."""

from __future__ import annotations

from typing import Any

from support.servers import Script, answer, response

ASKED = [{"role": "user", "content": "question"}]


def calling(*calls: tuple[str, str], finish_reason: str = "tool_calls", reasoning: str | None = "because") -> Script:
    body = answer(None, finish_reason=finish_reason)
    message = body["choices"][0]["message"]
    message["tool_calls"] = [
        {"index": i, "id": f"call_0{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(calls)
    ]
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    return [response(body)]


DONE = [response(answer("done"))]


async def run(client: Any, *tools: Any, **parameters: Any) -> Any:
    return await client.chat.completions.run_tools(model="deepseek-flash", messages=ASKED, tools=tools, **parameters)


async def double(number: int) -> int:
    """Double a number."""
    return 2 * number
