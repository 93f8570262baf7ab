"""A window divided among those who want to use it. Pure, in whole numbers, and the same as in ``group.lua``.

Calls that somebody waits for come first and get places in proportion to how many they are, so that they wait equally
long in all processes; bulk gets equal parts of the rest, and a tenth of the window in any case, but never the only
place. What nobody wants is lent to all, so that a call that comes finds a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

BULK_SHARE: Final = 10
"""Bulk that wants it keeps one place in so many, however many people wait."""
_SPARE: Final = 8
"""Places beyond what it wants that are lent to a member, at most; or as many again as it wants, if that is more."""
_HELD: Final = 2000
"""Place-milliseconds by which another must have come off worse before a place that cannot be divided is passed on."""
_FORGOTTEN: Final = 20_000
"""Milliseconds in which two thirds of what is owed are forgotten, so that what nobody could have does not add up."""


class Demand(msgspec.Struct):
    """What one member wants."""

    name: str
    people: int
    bulk: int
    most: int
    share: int = 0
    owed: int = 0
    """Place-milliseconds that it has had less than its part; they decide who gets a place that cannot be divided."""


class Share(msgspec.Struct):
    """What one member gets."""

    places: int
    exact: int
    """Thousandths of a place that it would get if places could be divided, lent ones not counted."""


def divide(window: int, demands: Sequence[Demand]) -> list[Share]:
    """The part of each, in their order; together no more than ``window``."""
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
    """What is owed to the member after so long with the share that it has; a share that was lent is no debt."""
    had = min(demand.share, -(-part.exact // 1000)) * 1000
    return demand.owed + (part.exact - had) * milliseconds // 1000 - demand.owed * milliseconds // _FORGOTTEN


def _divide_equally(places: int, demands: Sequence[Demand], parts: list[Share], wanted: Sequence[int]) -> None:
    """As many for each, but for those that want less."""
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
    """One more for each of the ``rest`` members to whom most is owed; who has such a place keeps it for a while."""
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
