"""What is found in texts, what becomes of it, and that a stream lets out nothing by halves."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.thoroughness import often

from deepseek_async import ConfigurationError, ContentBlockedError
from deepseek_async.content import Block, ContentFilter, Flag, HoldBack, Replace, Verdict
from deepseek_async.content.patterns import PERSONAL, SECRETS, find

KEY = "sk-" + "a1B2" * 8
PRIVATE = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEow/+\n" * 90 + "-----END RSA PRIVATE KEY-----"
TOKEN = "eyJ" + "hbGciOi" * 8 + ".eyJ" + "zdWIiOi" * 90 + "." + "c2ln" * 20

FOUND = [
    (KEY, "api_key"),
    ("AKIA" + "ABCDEFGH12345678", "api_key"),
    ("ghp_" + "a" * 36, "api_key"),
    ("xoxb-1234567890-abc", "api_key"),
    ("AIza" + "B" * 35, "api_key"),
    (PRIVATE, "private_key"),
    (TOKEN, "token"),
    ("Bearer " + "abc123def456" * 3, "token"),
    ("password: hunter2hunter2", "password"),
    ("jane.doe+test@mail.example.co.uk", "email"),
    ("4111 1111 1111 1111", "card_number"),
    ("5500-0055-5555-5559", "card_number"),
    ("DE89 3704 0044 0532 0130 00", "iban"),
    ("GB29NWBK60161331926819", "iban"),
    ("11010519491231002X", "identity_number"),
    ("123-45-6789", "identity_number"),
    ("+49 30 901820", "phone_number"),
    ("13812345678", "phone_number"),
]


@pytest.mark.parametrize(("text", "kind"), FOUND)
def test_it_is_found_whole_in_the_middle_of_a_sentence(text: str, kind: str):
    sentence = f"Here, {text} 。And more."
    (finding,) = find(sentence, SECRETS + PERSONAL)
    assert (finding.kind, sentence[finding.start : finding.end]) == (kind, text)


@pytest.mark.parametrize(
    "harmless",
    [
        "a task-force of disk-drives and risk-averse people",
        "4111 1111 1111 1112",  # fails Luhn
        "0000 0000 0000 0000",
        "DE89 3704 0044 0532 0130 01",
        "110105194912310021",  # wrong check character
        "2026-11-25T12:00:00.000000 1795579495.4537706",
        "3.14159265358979323846",
        "@everyone, see me @ noon",
        "the password is secret",
        "version 1.2.3-4, 127.0.0.1:8080, 1+1=2",
        "9999-99-9999",
    ],
)
def test_what_only_looks_like_it_is_not_found(harmless: str):
    assert list(find(harmless, SECRETS + PERSONAL)) == []


async def test_each_action_does_what_it_says():
    text = f"Use {KEY} or write to jane@example.com"
    verdict = Verdict()
    assert await ContentFilter().output(text, verdict) == "Use [api_key] or write to jane@example.com"
    assert (verdict.word, verdict.kinds) == ("redacted", {"api_key", "email"})
    verdict = Verdict()
    assert await ContentFilter(secrets="flag", personal="off").output(text, verdict) == text
    assert (verdict.word, verdict.kinds) == ("flagged", {"api_key"})
    verdict = Verdict()
    with pytest.raises(ContentBlockedError) as caught:
        await ContentFilter(personal="block", secrets="off").output(text, verdict)
    assert (caught.value.direction, caught.value.kinds, verdict.word) == ("output", ("email",), "blocked")
    assert "jane" not in str(caught.value)


async def test_every_text_of_a_request_is_checked():
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": f"key {KEY}"},
            {"role": "user", "content": [{"type": "text", "text": KEY}, {"type": "image_url", "image_url": {}}]},
            {"role": "assistant", "content": "x", "reasoning_content": KEY},
        ],
    }
    verdict = Verdict()
    sent = await ContentFilter().request(body, verdict)
    assert KEY not in str(sent)
    assert str(sent).count("[api_key]") == 3
    assert KEY in str(body), "the caller's own messages are left alone"


NAMES = st.sampled_from(["content", "text", "x", "role", "id", "arguments", "a_field_of_tomorrow", "type", "user"])
BODIES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, BODIES), st.data())
def test_a_secret_is_found_wherever_it_stands_and_all_else_stays(body: dict[str, Any], data: st.DataObject):
    at: Any = body
    while nested := [each for each in (at.values() if isinstance(at, dict) else at) if isinstance(each, list | dict)]:
        if data.draw(st.booleans()):
            break
        at = data.draw(st.sampled_from(nested))
    text = data.draw(st.sampled_from(["my key is KEY", "KEY", "KEY and more"])).replace("KEY", KEY)
    name = data.draw(NAMES)

    def put(value: str) -> None:
        if isinstance(at, list):
            at.append(value)
        else:
            at[name] = value

    put(text)
    before = json.dumps(body)
    for look in (ContentFilter().request, ContentFilter().answer):
        passed = json.dumps(asyncio.run(look(body, Verdict())))
        assert passed == before.replace(KEY, "[api_key]")
    assert json.dumps(body) == before, "the caller's own is left alone"


async def test_a_harmless_request_is_the_same_object():
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    assert await ContentFilter().request(body, Verdict()) is body


async def test_own_checks_run_in_order_sync_or_async():
    seen: list[str] = []

    def first(text: str) -> Replace:
        seen.append(text)
        return Replace(text.upper(), "shouting")

    async def second(text: str) -> Flag:
        await asyncio.sleep(0)
        seen.append(text)
        return Flag("noted")

    verdict = Verdict()
    content_filter = ContentFilter(input_checks=[first, second])
    sent = await content_filter.request({"prompt": "quiet"}, verdict)
    assert (sent["prompt"], seen, verdict.kinds) == ("QUIET", ["quiet", "QUIET"], {"shouting", "noted"})
    with pytest.raises(ContentBlockedError, match="policy") as caught:
        await ContentFilter(input_checks=[lambda _: Block("policy")]).request({"prompt": "x"}, Verdict())
    assert caught.value.direction == "input"


async def test_a_check_that_returns_something_else_is_told_so():
    wrong: Any = lambda _: True  # noqa: E731
    with pytest.raises(ConfigurationError, match="bool"):
        await ContentFilter(output_checks=[wrong]).output("x", Verdict())


def test_an_unknown_action_is_named():
    wrong: Any = "delete"
    with pytest.raises(ConfigurationError, match=r"content_filter\.secrets"):
        ContentFilter(secrets=wrong)


def held_back(text: str, cuts: list[int]) -> str:
    hold = HoldBack(REDACTING, Verdict())
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [hold.push(text[start:end]) for start, end in itertools.pairwise(places)]
    return "".join(pieces) + hold.end()


REDACTING = ContentFilter(secrets="redact", personal="redact")

PIECES = st.one_of(
    st.sampled_from([text for text, _ in FOUND]),
    st.text(alphabet="ab1 -@.:+/\n你sk", max_size=400),
    st.sampled_from([" ", "x", "sk-", "-----BEGIN ", "eyJ", "password", "+1", "@", ".", "\n"]),
)


@settings(max_examples=often(150), deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join), st.lists(st.integers(0, 10_000), max_size=60))
@example("x" * 300 + KEY + "y" * 600, [310, 320])
@example("a" * 200 + PRIVATE + " after", list(range(0, 1000, 7)))
def test_a_stream_is_redacted_as_the_whole_text_is(text: str, cuts: list[int]):
    assert held_back(text, cuts) == REDACTING.built_in(text, Verdict())


def test_what_is_held_back_is_bounded():
    hold = HoldBack(ContentFilter(), Verdict())
    chance = random.Random(1)
    given_out = 0
    for number in range(2000):
        given_out += len(hold.push("".join(chance.choice("abc de") for _ in range(5))))
        assert (number + 1) * 5 - given_out <= 512


def test_a_finding_without_end_blocks_the_stream():
    verdict = Verdict()
    hold = HoldBack(ContentFilter(), verdict)
    hold.push("-----BEGIN PRIVATE KEY-----")
    given_out: list[str] = []
    with pytest.raises(ContentBlockedError):
        given_out.extend(hold.push("QUJD" * 100) for _ in range(100))
    assert "".join(given_out) == ""
    assert verdict.word == "blocked"


@pytest.mark.parametrize("before", ["%20", "%3D", "%2F", "=", "/"])
async def test_a_secret_in_an_address_is_found_whatever_is_escaped_in_it(before: str):
    secret = "sk-" + "a1B2" * 8
    url = f"https://example.org/?q=a{before}{secret}%20b"
    allowed = await ContentFilter().request({"url": url}, Verdict())
    assert secret not in allowed["url"]
    assert allowed["url"].startswith("https://example.org/?q=a")


async def test_an_address_without_secrets_stays_as_it_is():
    body = {"url": "https://example.org/%E5%A4%A9?q=a%20b%2Fc"}
    assert await ContentFilter().request(body, Verdict()) is body
