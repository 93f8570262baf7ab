"""A document that is uploaded, asked about and deleted. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from deepseek_async import AsyncDeepSeek

REPORT = "Sales rose in Oslo and fell in Bergen. The reasons are not known."


async def main(path: Path) -> None:
    async with AsyncDeepSeek() as client:
        # Silent until it is parsed. If the connection breaks meanwhile, the file is looked for and not sent again.
        file = await client.files.create(
            file=path,
            purpose="text_recognition",
            expires_after={"anchor": "created_at", "seconds": 3600},
            pages=1,  # the fee of a PDF is counted from it, that of other documents as 1,000 pages without this
            on_progress=lambda sent, size: print(f"{sent:,} of {size:,} bytes"),
        )
        print(f"{file.id}: {file.fees[0].count} page, {file.fees[0].cny} yuan")
        question = [{"type": "text", "text": "Where did sales fall?"}, {"type": "file", "file_id": file.id}]
        answer = await client.chat.completions.create(
            model="deepseek-flash",
            messages=[{"role": "user", "content": question}],
        )
        print(answer.choices[0].message.content)
        await client.files.delete(file.id)


with TemporaryDirectory() as folder:
    report = Path(folder, "report.txt")
    report.write_text(REPORT)
    asyncio.run(main(report))
