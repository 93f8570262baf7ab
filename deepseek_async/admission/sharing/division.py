"""Division of the limit among members by demand. Pure integer arithmetic, identical to ``group.lua``.

Interactive calls come first and get slots in proportion to their number, so that they wait equally long in all
processes; batch work gets equal parts of the rest, with a minimum of a tenth of the limit, though never the only slot.
Unclaimed slots are lent to all members, so that a new call finds one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

BULK_SHARE: Final = 10
"""Batch work keeps at least one slot in this many, however many interactive calls wait."""
_SPARE: Final = 8
"""Maximum number of slots lent to a member beyond its demand; or its demand again, if that is more."""
_HELD: Final = 2000
"""Slot-milliseconds of disadvantage after which an indivisible slot moves to another member."""
_FORGOTTEN: Final = 20_000
"""Time constant in milliseconds for the decay of ``owed``, so that unavailable slots do not add up."""


class Demand(msgspec.Struct):
    """Demand of one member."""

    name: str
    people: int
    bulk: int
    most: int
    share: int = 0
    owed: int = 0
    """Slot-milliseconds below its exact part so far; they decide who gets an indivisible slot."""


class Share(msgspec.Struct):
    """Share of one member."""

    places: int
    exact: int
    """Exact part in thousandths of a slot, without lent slots."""


def divide(window: int, demands: Sequence[Demand]) -> list[Share]:
    """Return the share of each member, in the same order; the sum is at most ``window``."""
    people = [min(one.people, one.most) for one in demands]
    bulk = [min(one.bulk, one.most - wanted) for one, wanted in zip(demands, people, strict=True)]
    all_people, all_bulk = sum(people), sum(bulk)
    kept = max(0, min(all_bulk, -(-window // BULK_SHARE), window - 1)) if all_people else 0
    for_people = max(0, min(all_people, window - kept))
    for_bulk = min(all_bulk, window - for_people)

    parts = [Share(0, 0) for _ in demands]
    if for_people:
        for part, wanted in zip(parts, people, strict=True):
            part.places = for_people * wanted // all_people
            part.exact = for_people * wanted * 1000 // all_people
        _give_rest(for_people - sum(part.places for part in parts), demands, parts, people)
    if for_bulk:
        _divide_equally(for_bulk, demands, parts, bulk)
    _lend(window - for_people - for_bulk, demands, parts)
    return parts


def still_owed(demand: Demand, part: Share, milliseconds: int) -> int:
    """Return ``owed`` after ``milliseconds`` with the current share; lent slots are not counted."""
    had = min(demand.share, -(-part.exact // 1000)) * 1000
    return demand.owed + (part.exact - had) * milliseconds // 1000 - demand.owed * milliseconds // _FORGOTTEN


def _divide_equally(places: int, demands: Sequence[Demand], parts: list[Share], wanted: Sequence[int]) -> None:
    """Divide equally, with at most its demand for each member."""
    level, left, short = 0, places, len(wanted)
    for want in sorted(wanted):
        if want * short > left:
            level = left // short
            break
        level, left, short = want, left - want, short - 1
    base = [min(want, level) for want in wanted]
    rest, above = places - sum(base), sum(want > level for want in wanted)
    before = [part.places for part in parts]
    for part, want, least in zip(parts, wanted, base, strict=True):
        part.places += least
        part.exact += least * 1000 + (rest * 1000 // above if want > level else 0)
    _give_rest(rest, demands, parts, [most + want for most, want in zip(before, wanted, strict=True)])


def _give_rest(rest: int, demands: Sequence[Demand], parts: list[Share], most: Sequence[int]) -> None:
    """Give one of the ``rest`` slots to each of the members owed most; a current holder has an advantage."""
    can = [index for index, part in enumerate(parts) if part.places < most[index]]
    can.sort(key=lambda index: (-_claim(demands[index], parts[index]), demands[index].name))
    for index in can[:rest]:
        parts[index].places += 1


def _claim(demand: Demand, part: Share) -> int:
    return demand.owed + (_HELD if demand.share > part.places else 0)


def _lend(spare: int, demands: Sequence[Demand], parts: list[Share]) -> None:
    each = spare // len(demands) if demands else 0
    for demand, part in zip(demands, parts, strict=True):
        part.places += max(0, min(each, max(_SPARE, part.places), demand.most - part.places))
