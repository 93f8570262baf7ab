"""The options of a client are said once: what takes them shows, describes and checks the same."""

from __future__ import annotations

import inspect
import re

import pytest
from support.disclosure import SECRET, everything_shown_by
from support.servers import CANARY

from deepseek_async import AsyncDeepSeek, ConfigurationError
from deepseek_async.blocking import DeepSeek
from deepseek_async.configuration.options import DEFAULTS, NAMES
from deepseek_async.integrations.openai import as_openai_sync

TAKERS = [AsyncDeepSeek, AsyncDeepSeek.from_settings, DeepSeek, as_openai_sync]


@pytest.mark.parametrize("taker", TAKERS)
def test_each_option_is_in_the_signature_with_its_default(taker):
    parameters = inspect.signature(taker).parameters
    options = {name: one.default for name, one in parameters.items() if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert options == {name: DEFAULTS.get(name) for name in NAMES}


def test_a_signature_says_types_in_the_words_of_the_source():
    assert str(inspect.signature(AsyncDeepSeek).parameters["tool_threads"]) == "tool_threads: 'int' = 40"


def test_each_option_is_described_where_the_client_is():
    described = [
        name
        for line in re.findall(r"^ *- (``\w+``.*?):", AsyncDeepSeek.__doc__, re.MULTILINE)
        for name in re.findall(r"``(\w+)``", line)
    ]
    others = re.findall(r"; ``(\w+)``: another", AsyncDeepSeek.__doc__)
    assert sorted([*described, *others, "trust_env"]) == sorted(NAMES)
    assert "``trust_env=False``" in AsyncDeepSeek.__doc__


def test_what_is_left_out_and_its_default_are_the_same():
    given = {name: DEFAULTS.get(name) for name in NAMES} | {"api_key": CANARY}
    left_out, said = AsyncDeepSeek(api_key=CANARY), AsyncDeepSeek(**given)
    ours = said.settings.api_key.fingerprint(), left_out.settings.api_key.fingerprint()
    assert ours[0] == ours[1]
    for name in set(said.settings.__struct_fields__) - {"api_key"}:
        assert getattr(said.settings, name) == getattr(left_out.settings, name), name


@pytest.mark.parametrize("make", [AsyncDeepSeek, DeepSeek, as_openai_sync])
@pytest.mark.parametrize(
    ("unknown", "kind", "words"),
    [
        ("api_kye", TypeError, "unexpected keyword argument 'api_kye'"),
        ("organization", ConfigurationError, "pass account="),
    ],
)
def test_an_option_that_does_not_exist_is_named_and_shows_no_key(make, unknown, kind, words):
    with pytest.raises(kind, match=words) as caught:
        make(api_key=CANARY, **{unknown: "x"})
    assert SECRET not in everything_shown_by(caught.value)
