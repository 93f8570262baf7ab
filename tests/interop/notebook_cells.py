"""Runs cells in a real Jupyter kernel, interrupting one, and prints what they showed as one line of JSON."""

from __future__ import annotations

import json
import sys
from queue import Empty
from typing import Any

from jupyter_client.manager import start_new_kernel

SECONDS = 60.0  # the longest wait for a message; reached only when something is broken

START = """
import asyncio, os
import pandas as pd
from deepseek_async import AsyncDeepSeek
client = AsyncDeepSeek(max_concurrency=4)
frame = pd.DataFrame({"text": [f"row{number}" for number in range(60)]}, index=range(100, 160))
before = asyncio.all_tasks()
def left():
    return [task for task in asyncio.all_tasks() - before if "batch" in repr(task.get_coro())]
"""
TABLE = """
answered = await client.batch.table(frame, template="Say {text}", thinking={"type": "disabled"}, max_tokens=8)
"""
LOOK = """
{"left": len(left()), "in flight": client.statistics().in_flight, "answered": "answered" in globals()}
"""
RESULT = """
{"rows": len(answered), "index": answered.index.equals(frame.index), "failed": int(answered["error"].notna().sum()),
 "own": bool(all(text in answer for text, answer in zip(answered["text"], answered["answer"])))}
"""
ANSWER = """
await client.chat.completions.create(model="deepseek-flash", messages=[{"role": "user", "content": "<b>Hi</b>"}])
"""
END = """
await client.aclose()
"""


class Notebook:
    """Cells of one kernel."""

    def __init__(self) -> None:
        self._manager, self._client = start_new_kernel(kernel_name="python3", startup_timeout=SECONDS)

    def run(self, code: str, *, interrupt_at: int | None = None) -> dict[str, Any]:
        """What the cell displayed and updated, how it ended and what it returned."""
        asked = self._client.execute(code)
        shown: dict[str, Any] = {"displayed": 0, "updates": 0, "html": "", "result": None, "error": None}
        while True:
            message = self._client.get_iopub_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind in {"display_data", "update_display_data"}:
                shown["displayed" if kind == "display_data" else "updates"] += 1
                shown["html"], shown["text"] = content["data"].get("text/html"), content["data"]["text/plain"]
                if interrupt_at is not None and int(shown["text"].split()[0]) >= interrupt_at:
                    interrupt_at = None
                    self._manager.interrupt_kernel()
            elif kind == "execute_result":
                shown["result"] = content["data"]["text/plain"]
                shown["html"] = content["data"].get("text/html", "")
            elif kind == "error":
                shown["error"] = content["ename"]
            elif kind == "status" and content["execution_state"] == "idle":
                return shown

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def main() -> None:
    notebook = Notebook()
    try:
        cells = [("start", START, None), ("interrupted", TABLE, 8), ("look", LOOK, None), ("again", TABLE, None)]
        cells += [("result", RESULT, None), ("answer", ANSWER, None), ("end", END, None)]
        told = {name: notebook.run(code, interrupt_at=at) for name, code, at in cells}
    except Empty:
        raise SystemExit(f"no message from the kernel within {SECONDS:.0f} s") from None
    finally:
        notebook.close()
    sys.stdout.write(json.dumps(told))


main()
