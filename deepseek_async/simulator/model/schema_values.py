"""Generator of values that match a JSON Schema. Pure.

Constraints on a single value are honoured: types, enum, const, required, bounds, lengths, formats and patterns.
Constraints between values, such as `not`, `if` and `dependentRequired`, are ignored, as are contradictory ones.
A value named in the question is used if it matches.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from deepseek_async.simulator.model.patterns import matching

if TYPE_CHECKING:
    from deepseek_async.simulator.model.seeded_random import Draw

_DEEPEST = 12
"""Maximum depth of a recursive schema."""
_MOST_ITEMS = 1000
_MOST_CHARACTERS = 10_000
_PLACES = ("Oslo", "Zürich", "東京", "São Paulo", "Lagos", "重庆")
_FORMATS = {
    "date": "2026-11-25",
    "date-time": "2026-11-25T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "51a1a7ed-51a1-47ed-9e37-79b97f4a7c15",
}
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\w)")
_NAME = re.compile(r"\b(?:at|for|from|in|near|to) ([A-Z][\w-]+)")
_MADE_FOR = (
    ("object", ("properties", "required", "additionalProperties", "minProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems")),
    ("string", ("pattern", "format", "minLength", "maxLength")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)
"""Type implied by the other keywords of a schema without one."""


def value_for(schema: Any, chance: Draw, question: str = "") -> Any:
    """Generate a plausible value for `schema`; `question` is the user's question."""
    return _Maker(schema, chance, question).value(schema, 0)


class _Maker:
    def __init__(self, root: Any, chance: Draw, question: str) -> None:
        self._root = root
        self._chance = chance
        self._question = question.casefold()
        self._numbers = [float(text) for text in _NUMBER.findall(question)]
        self._names = _NAME.findall(question)

    def value(self, schema: Any, depth: int) -> Any:
        schema = self._whole(schema, depth)
        if not isinstance(schema, dict):
            return True
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._one_of(schema["enum"])
        if "default" in schema:
            return schema["default"]
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null" or depth > _DEEPEST), "null")
        if kind is None:
            kind = next((kind for kind, words in _MADE_FOR if not schema.keys().isdisjoint(words)), "string")
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema)

    def _whole(self, schema: Any, depth: int) -> Any:
        """Return the schema with its references and one of its choices resolved."""
        for _ in range(_DEEPEST):
            if not isinstance(schema, dict):
                return schema
            if isinstance(schema.get("$ref"), str):
                rest = {name: given for name, given in schema.items() if name != "$ref"}
                schema = _joined(self._referred(schema["$ref"]), rest)
            elif isinstance(schema.get("allOf"), list):
                rest = {name: given for name, given in schema.items() if name != "allOf"}
                for part in schema["allOf"]:
                    rest = _joined(self._whole(part, depth), rest)
                schema = rest
            elif choices := schema.get("anyOf") or schema.get("oneOf"):
                rest = {name: given for name, given in schema.items() if name not in ("anyOf", "oneOf")}
                schema = _joined(self._choice(choices, depth), rest)
            else:
                break
        return schema

    def _choice(self, choices: list[Any], depth: int) -> Any:
        """Return the first choice that is not null; at the depth limit, the shallowest one."""
        if depth > _DEEPEST:
            return min(choices, key=lambda choice: _weight(self._whole(choice, depth)))
        return next((choice for choice in choices if choice != {"type": "null"}), choices[0])

    def _referred(self, reference: str) -> Any:
        target = self._root
        for step in reference.removeprefix("#").removeprefix("/").split("/"):
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if not name:
                continue
            if isinstance(target, list) and name.isdecimal() and int(name) < len(target):
                target = target[int(name)]
            else:
                target = target.get(name, {}) if isinstance(target, dict) else {}
        return target

    def _one_of(self, values: list[Any]) -> Any:
        named = [value for value in values if isinstance(value, str) and value and value.casefold() in self._question]
        return named[0] if named else values[self._chance.below(len(values))]

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        wanted = list(schema.get("required", () if depth > _DEEPEST else properties))
        if depth > 2 * _DEEPEST:
            return {}
        for name in properties:
            if len(wanted) >= min(schema.get("minProperties", 0), _MOST_ITEMS):
                break
            if name not in wanted:
                wanted.append(name)
        while len(wanted) < min(schema.get("minProperties", 0), _MOST_ITEMS):
            wanted.append(f"more_{len(wanted)}")
        return {name: self.value(self._property(schema, name), depth + 1) for name in wanted}

    @staticmethod
    def _property(schema: dict[str, Any], name: str) -> Any:
        properties = schema.get("properties") or {}
        if name in properties:
            return properties[name]
        for pattern, described in (schema.get("patternProperties") or {}).items():
            if re.search(pattern, name):
                return described
        more = schema.get("additionalProperties")
        return more if isinstance(more, dict) else {"type": "string"}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems") or []
        items = schema.get("items", {})
        if isinstance(items, list):  # the form of prefixItems before 2020
            first, items = items, schema.get("additionalItems", {})
        few = 0 if depth > _DEEPEST else max(1, len(first))
        least, most = schema.get("minItems", few), schema.get("maxItems", _MOST_ITEMS)
        count = min(max(few, least), most, _MOST_ITEMS)
        if items is False:
            count = min(count, len(first))
        made: list[Any] = []
        for place in range(count):
            described = first[place] if place < len(first) else items
            value = self.value(described, depth + 1)
            if schema.get("uniqueItems"):
                value = self._another(described, value, made, depth)
            made.append(value)
        return made

    def _another(self, schema: Any, value: Any, made: list[Any], depth: int) -> Any:
        """Return a value that is not in `made`, if there is one."""
        if value not in made:
            return value
        schema = self._whole(schema, depth)
        choices = schema.get("enum") if isinstance(schema, dict) else None
        if choices:
            return next((choice for choice in choices if choice not in made), value)
        if isinstance(value, bool):
            return not value
        if isinstance(value, int | float):
            step = schema.get("multipleOf", 1) if isinstance(schema, dict) else 1
            higher = [value + step * many for many in range(1, len(made) + 2)]
            lower = [value - step * many for many in range(1, len(made) + 2)]
            return next((one for one in (*higher, *lower) if one not in made and _is_within(one, schema)), value)
        if isinstance(value, str):
            return next(one for many in range(2, len(made) + 3) if (one := _numbered(value, many, schema)) not in made)
        return value

    def _number(self, schema: dict[str, Any], *, whole: bool) -> float:
        low, high = _bounds(schema)
        step = schema.get("multipleOf") or (1 if whole else 0)
        named = [int(number) if whole else number for number in self._numbers if not whole or number.is_integer()]
        for number in [*named, 7 if whole else 7.5]:
            if _is_within(number, schema):
                return number
        if not step:
            return _between(low, high, schema)
        # Multiples are counted from the bound nearer to zero.
        count = math.ceil(low / step) if low > -math.inf else math.floor(high / step) if high < math.inf else 1
        for many in (count, count + 1, count - 1):
            number = round(many * step, 10)
            if _is_within(number, schema):
                return int(number) if whole or float(number).is_integer() else number
        return int(low) if whole and low > -math.inf else low

    def _string(self, schema: dict[str, Any]) -> str:
        least: int = min(schema.get("minLength", 0), _MOST_CHARACTERS)
        most: int = schema.get("maxLength", _MOST_CHARACTERS)
        pattern = schema.get("pattern")
        if pattern is not None:
            found = matching(pattern, least)
            if found is not None:
                return found
        if (shaped := _FORMATS.get(schema.get("format", ""))) is not None:
            return shaped
        for name in self._names:
            if least <= len(name) <= most:
                return str(name)
        place = _PLACES[self._chance.below(len(_PLACES))]
        if len(place) < least:
            place = (place + " ") * (least // len(place) + 1)
            return place[:least]
        return place[:most]


def _joined(one: Any, other: Any) -> Any:
    """Merge two schemas; the second overrides shared keywords, except that properties and required are merged."""
    if not isinstance(one, dict):
        return other or one
    joined = {**one, **other}
    if "properties" in one and "properties" in other:
        joined["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        joined["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    for word, harder in (("minimum", max), ("minLength", max), ("minItems", max), ("maximum", min), ("maxLength", min)):
        if word in one and word in other:
            joined[word] = harder(one[word], other[word])
    return joined


def _weight(schema: Any) -> int:
    """Estimate how deep a schema nests."""
    if not isinstance(schema, dict):
        return 0
    kind = schema.get("type")
    return {"null": 0, "object": 3, "array": 2, None: 2}.get(kind if not isinstance(kind, list) else None, 1)


def _bounds(schema: dict[str, Any]) -> tuple[float, float]:
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    # Before 2019 the exclusive bounds were booleans.
    low = low if isinstance(above, bool) else max(low, above)
    high = high if isinstance(below, bool) else min(high, below)
    return low, high


def _is_within(number: float, schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    low, high = _bounds(schema)
    if not low <= number <= high:
        return False
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if number == low and (above is True or (above is not None and above is not False and number <= above)):
        return False
    if number == high and (below is True or (below is not None and below is not False and number >= below)):
        return False
    step = schema.get("multipleOf")
    return not step or math.isclose(number / step, round(number / step), abs_tol=1e-9)


def _between(low: float, high: float, schema: dict[str, Any]) -> float:
    if low > -math.inf and high < math.inf:
        return low if _is_within(low, schema) else low + (high - low) / 2
    if low > -math.inf:
        return low if _is_within(low, schema) else low + 1
    return high if _is_within(high, schema) else high - 1


def _numbered(text: str, many: int, schema: Any) -> str:
    most: int = schema.get("maxLength", _MOST_CHARACTERS) if isinstance(schema, dict) else _MOST_CHARACTERS
    mark = f" {many}"
    return f"{text[: max(0, most - len(mark))]}{mark}"[-most:]
