"""Train a model on your own dialogues, on a server that offers it, and ask it. Reads DEEPSEEK_API_KEY,
DEEPSEEK_BASE_URL, and for the other server OTHER_BASE_URL and OTHER_API_KEY.

The two files come from `deepseek-async finetune prepare dialogues.jsonl`.
"""

import asyncio
import os

from deepseek_async import AsyncDeepSeek, Endpoint


async def main() -> None:
    other = Endpoint(os.environ["OTHER_BASE_URL"], os.environ.get("OTHER_API_KEY"))
    async with AsyncDeepSeek(endpoints={"files": other, "fine_tunes": other}) as client:
        training = await client.files.create(file="dialogues.train.jsonl", purpose="fine-tune")
        validation = await client.files.create(file="dialogues.validation.jsonl", purpose="fine-tune")
        job = await client.fine_tunes.create(
            training_file=training.id,
            validation_file=validation.id,
            model="deepseek-base",
            n_epochs=4,
            batch_size=32,
        )
        while job.status not in {"succeeded", "failed", "cancelled"}:
            await asyncio.sleep(float(os.environ.get("POLL_SECONDS", "60")))
            job = await client.fine_tunes.retrieve(job.id)
        for event in await client.fine_tunes.events(job.id):
            print(event.message)
        print(job.fine_tuned_model)


asyncio.run(main())
