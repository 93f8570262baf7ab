"""An answer as an object of a class. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio
from dataclasses import dataclass

from deepseek_async import AsyncDeepSeek, StructuredOutput


@dataclass
class Review:
    product: str
    stars: int
    praise: list[str]


async def main() -> None:
    text = "The kettle from Oslo boils fast and looks good. Four stars."
    async with AsyncDeepSeek() as client:
        # Without StructuredOutput, response_format=Review asks in JSON mode, which also works while the model thinks.
        done = await client.chat.completions.create(
            model="deepseek-flash",
            messages=[{"role": "user", "content": f"Extract the review: {text}"}],
            response_format=StructuredOutput(Review, method="strict_tool"),
        )
        review = done.parsed
        if review is not None:
            print(f"{review.product}: {review.stars} stars, {', '.join(review.praise)}")


asyncio.run(main())
