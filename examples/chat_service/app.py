"""A chat page: answers while they are written, a stop button, reloads that lose nothing, and what each answer cost.

    REDIS_URL=redis://127.0.0.1:6379/0 uvicorn app:app --workers 2 --timeout-graceful-shutdown 10

Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL. A reload may land at another worker, so several of them need REDIS_URL;
one keeps the running answers in memory. Anybody who reaches the page spends your money: put your own login before it.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Body, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from deepseek_async import AsyncDeepSeek
from deepseek_async.integrations.web import Ending, ResumableAnswers
from deepseek_async.integrations.web.starlette import install_error_handlers, relay, resume

WORKER = {"x-worker": str(os.getpid())}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """One client and one buffer for all requests of this worker."""
    async with AsyncDeepSeek() as client, ResumableAnswers(os.environ.get("REDIS_URL")) as answers:
        app.state.client, app.state.answers = client, answers
        yield


app = FastAPI(lifespan=lifespan)
install_error_handlers(app)


@app.post("/answers")
async def ask(
    request: Request, question: Annotated[str, Body(embed=True, min_length=1, max_length=10_000)]
) -> Response:
    """Answer a question, as events."""
    client: AsyncDeepSeek = app.state.client

    def cost(ending: Ending) -> dict[str, float | None]:
        return {} if ending.answer is None else {"cost": client.cost_of(ending.answer).total}

    stream = client.chat.completions.stream(model="deepseek-flash", messages=[{"role": "user", "content": question}])
    return relay(stream, request, "text", resumable=app.state.answers, at_end=cost, headers=WORKER)


@app.get("/answers/{answer_id}")
async def follow(request: Request, answer_id: str) -> Response:
    """Send what a reloaded page has not seen."""
    return resume(request, app.state.answers, answer_id, headers=WORKER)


@app.delete("/answers/{answer_id}")
async def stop(answer_id: str) -> dict[str, bool]:
    """Stop an answer, at whichever worker it runs."""
    return {"stopped": await app.state.answers.stop(answer_id)}


app.mount("/", StaticFiles(directory=Path(__file__).parent / "static", html=True))
