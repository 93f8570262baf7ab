"""The memory tier keeps within its bytes and drops what was not used for longest."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.cache.entry import Entry, unpacked
from deepseek_async.cache.memory import MemoryTier


def entry(size: int) -> Entry:
    return Entry(b"x" * size, 1.0)


def test_the_least_recently_used_is_dropped_first():
    tier = MemoryTier(3 * (700 + 300))
    for name in (b"a", b"b", b"c"):
        tier.put(name, entry(700))
    assert tier.get(b"a") is not None
    tier.put(b"d", entry(700))
    assert [tier.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


def test_an_answer_larger_than_the_tier_leaves_the_others_alone():
    tier = MemoryTier(2000)
    tier.put(b"small", entry(100))
    tier.put(b"large", entry(3000))
    assert tier.get(b"small") is not None
    assert tier.get(b"large") is None


def test_a_larger_answer_does_not_leave_the_one_it_replaces():
    tier = MemoryTier(2000)
    tier.put(b"a", entry(100))
    tier.put(b"a", entry(3000))
    assert tier.get(b"a") is None
    assert tier.size == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("pgd"), st.integers(0, 9), st.integers(0, 900)), max_size=60))
def test_its_size_is_that_of_what_it_holds(steps: list[tuple[str, int, int]]):
    tier = MemoryTier(4000)
    for verb, number, size in steps:
        key = bytes([number])
        match verb:
            case "p":
                tier.put(key, entry(size))
            case "g":
                tier.get(key)
            case "d":
                tier.discard(key)
        held = [found for number in range(10) if (found := tier._entries.get(bytes([number])))]
        assert tier.size == sum(len(found.body) + 300 for found in held) <= 4000
        assert len(tier) == len(held)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 10_000), st.integers(0, 7))
def test_a_record_with_a_changed_bit_is_no_entry(body: bytes, place: int, bit: int):
    record = Entry(body, 12.5).packed(b"key")
    assert unpacked(b"key", record) == Entry(body, 12.5)
    assert unpacked(b"other", record) is None
    changed = bytearray(record)
    # The first eight bytes are the time, which no checksum covers.
    changed[8 + place % (len(record) - 8)] ^= 1 << bit
    assert unpacked(b"key", bytes(changed)) is None
