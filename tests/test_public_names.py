"""The names that users rely on: they resolve, they are listed once, and importing them costs little."""

from __future__ import annotations

import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import deepseek_async
from deepseek_async import errors
from deepseek_async.types import ChatCompletion, ChatCompletionMessage, Choice

ERRORS = [
    value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.DeepSeekError)
]


def test_every_listed_name_resolves_and_is_known_by_that_name():
    assert sorted(set(deepseek_async.__all__)) == deepseek_async.__all__
    assert set(deepseek_async.__all__) == set(deepseek_async._HOME)
    for name in deepseek_async.__all__:
        assert getattr(deepseek_async, name).__name__ == name
        assert name in dir(deepseek_async)


def test_names_that_are_not_there_say_so():
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = deepseek_async.NoSuchName


def test_the_type_checkers_see_the_same_names():
    source = Path(inspect.getfile(deepseek_async)).read_text()
    block = source.partition("if TYPE_CHECKING:")[2].partition("__version__")[0]
    names = re.sub(r"from [\w.]+ import|[()]", " ", block).replace(",", " ").split()
    assert sorted(names) == deepseek_async.__all__


def test_every_error_is_public():
    assert sorted(error.__name__ for error in ERRORS) == sorted(errors.__all__)
    assert set(errors.__all__) <= set(deepseek_async.__all__)


def drawn_parents() -> dict[str, str]:
    """Parent of each error in the drawing: the name before ``└─`` on its line, else the one above and left."""
    drawing = (errors.__doc__ or "").partition("\n\n")[2].partition("\n\nEvery error")[0]
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in drawing.splitlines():
        names = [(found.start(), found[0]) for found in re.finditer(r"\b[A-Z]\w*Error\b", line.partition("(also")[0])]
        if not names:
            continue  # more words about the one above
        indent, first = names[0]
        above = {column: name for column, name in above.items() if column < indent}
        child = line.find("└─", indent)
        siblings = [name for column, name in names if child < 0 or column < child]
        if above:
            parents |= dict.fromkeys(siblings, above[max(above)])
        parents |= {name: siblings[-1] for _, name in names[len(siblings) :]}
        above[indent] = first
    return parents


def test_the_drawn_tree_is_the_real_one():
    real = {error.__name__: error.__mro__[1].__name__ for error in ERRORS if error is not errors.DeepSeekError}
    assert drawn_parents() == real


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_is_pickled_with_its_facts(kind: type[errors.DeepSeekError]):
    partial = ChatCompletion(choices=[Choice(message=ChatCompletionMessage(content="half"))])
    error = kind("what happened", status_code=429, retry_after=1.5, attempts=3, limit=25, phase="idle", partial=partial)
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is kind
    assert str(twin) == twin.message == "what happened"
    assert vars(twin) == vars(error)
    assert (twin.status_code, twin.retry_after, twin.attempts, twin.limit) == (429, 1.5, 3, 25)
    if isinstance(twin, errors.APIError):
        assert twin.text == "half"


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_every_common_fact(kind: type[errors.DeepSeekError]):
    error = kind("x")
    facts = (error.status_code, error.body, error.request_id, error.retry_after, error.attempts)
    assert facts == (None, None, None, None, 0)
    assert error.retryable in {True, False}


def test_errors_that_a_programmer_makes_are_value_errors():
    for kind in (errors.ConfigurationError, errors.InvalidRequestError, errors.InputFormatError):
        assert issubclass(kind, ValueError)


def test_importing_the_package_imports_neither_aiohttp_nor_asyncio():
    code = "import deepseek_async, sys; print({'aiohttp', 'asyncio', 'msgspec', 'orjson'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_importing_an_error_imports_no_aiohttp():
    code = "from deepseek_async import RateLimitError; import sys; print('aiohttp' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
