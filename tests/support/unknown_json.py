"""JSON that nobody has declared, by the thousand."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = st.text("abcdefgh_XYZ", min_size=1, max_size=8).map("new_".__add__)
"""Names that no field of any kind has."""

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False, width=32),
        _TEXT,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
FIELDS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(NAMES, VALUES, max_size=3)
BLOCKS: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda kind, fields: {"type": kind, **fields}, NAMES.map("block_".__add__), FIELDS
)
