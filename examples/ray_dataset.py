"""Answers for the rows of a Ray dataset. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL. Needs the extra ``ray``.

``ray.init()`` begins a cluster on this machine; with ``RAY_ADDRESS`` it is the one of that address. The journal is on
storage that all nodes see: run the program again after a fault, and no answer in it is bought twice.
"""

import ray

from deepseek_async.integrations.ray import answered

CITIES = ("Lagos", "Oslo", "Lima", "Osaka", "Tunis", "Perth", "Quito", "Riga", "Accra", "Hanoi")


def main() -> None:
    ray.init()
    cities = ray.data.from_items([{"city": city} for city in CITIES])
    answers = answered(cities, journal="journal", template="One sentence about {city}.", thinking={"type": "disabled"})
    spent = 0.0
    for row in answers.iter_rows():
        # A row that cannot be answered has an error; the others go on.
        print(row["city"], "-", row["answer"] if row["error"] is None else f"failed: {row['error']}")
        spent += row["cost"] or 0.0
    print(f"{len(CITIES)} answers for ${spent:.6f}")
    ray.shutdown()


if __name__ == "__main__":
    main()
