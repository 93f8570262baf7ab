"""The package as a reader finds it: no circles of imports, small modules, few of them at the root, old names kept."""

from __future__ import annotations

import ast
import importlib
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import deepseek_async
from deepseek_async import deprecated_names

PACKAGE = Path(deepseek_async.__file__).parent
MODULES = {
    ".".join(("deepseek_async", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
MOST_LINES = 400
MOST_MODULES_AT_THE_ROOT = 12


def imported(name: str, path: Path) -> Iterator[str]:
    """The modules of ours that ``name`` imports anywhere in it, for the type checker too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from (each for each in (inner if inner in MODULES else node.module,) if each in MODULES)


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """What is left when modules that import nothing of what is left are taken away again and again."""
    left = {name: set(found) - {name} for name, found in imports.items()}
    while leaves := [name for name, found in left.items() if not found & left.keys()]:
        for name in leaves:
            del left[name]
    while ends := [name for name in left if not any(name in found for found in left.values())]:
        for name in ends:  # imports a circle and is none of it
            del left[name]
    return [[name, *sorted(found & left.keys())] for name, found in sorted(left.items())]


def test_no_modules_import_each_other_in_a_circle():
    assert circles({name: set(imported(name, path)) for name, path in MODULES.items()}) == []


def test_a_circle_would_be_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c"], ["c", "b"]]


def test_no_two_modules_of_tests_have_one_name():
    """pytest imports them by their names alone, but for those of ``support``, which is a package."""
    found = (path for path in Path(__file__).parent.rglob("*.py") if path.parent.name != "support")
    names = Counter(path.name for path in found if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_no_module_is_longer_than_can_be_read_at_a_sitting():
    long = {name: lines for name, path in MODULES.items() if (lines := len(path.read_text().splitlines())) > MOST_LINES}

    assert long == {}


def test_the_root_of_the_package_holds_few_modules():
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_MODULES_AT_THE_ROOT


@pytest.mark.parametrize("old", sorted(deprecated_names._MODULES))
def test_what_has_another_name_now_is_found_by_its_old_one_with_a_warning(old: str):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        module = importlib.reload(importlib.import_module(f"deepseek_async.{old}"))

    assert any(f"deepseek_async.{deprecated_names._MODULES[old]}" in str(one.message) for one in said)
    home = importlib.import_module(f"deepseek_async.{deprecated_names._MODULES[old]}")
    for name, new in deprecated_names._CLASSES.get(old, {}).items():
        assert getattr(module, name) is getattr(home, new)


async def test_attributes_that_have_another_name_now_are_found_by_their_old_one_with_a_warning():
    async with deepseek_async.AsyncDeepSeek(api_key="sk-test", base_url="http://127.0.0.1:9") as client:
        with pytest.warns(DeprecationWarning, match="_runtime"):
            runtime = client._connections
        with pytest.warns(DeprecationWarning, match="internal"):
            caller = client.caller()
        with pytest.warns(DeprecationWarning, match="account_limiter"):
            limits = caller.gate
        with pytest.warns(DeprecationWarning, match="limiter"):
            model = limits.scope("deepseek-flash")
        with pytest.warns(DeprecationWarning, match="queue"):
            assert model.slots is model.queue
        with pytest.warns(DeprecationWarning, match="models"):
            assert client.statistics().scopes[0].model == "deepseek-flash"
        with pytest.raises(AttributeError, match="'AsyncDeepSeek' object has no attribute 'calller'"):
            client.calller  # noqa: B018  the reading is what is tested

    assert runtime is client._runtime
