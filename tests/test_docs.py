"""What the documentation says is what the project holds, and what the project holds is documented."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any, Final

import deepseek_async

ROOT: Final = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs/_generators"))

import commands  # noqa: E402
import documents  # noqa: E402
import reference  # noqa: E402

DOCUMENTED: Final = sorted({path for page in reference.PAGES for path in reference.paths(page)})
"""Every name that the reference has."""


def resolved(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_public_name_is_in_the_reference():
    here = {id(resolved(path)) for path in DOCUMENTED}
    public = {f"deepseek_async.{name}": getattr(deepseek_async, name) for name in deepseek_async.__all__}
    for name in ("types", "errors", "events", "batch", "content", "finetune", "simulator", "integrations.ray"):
        module = importlib.import_module(f"deepseek_async.{name}")
        public |= {f"{name}.{listed}": getattr(module, listed) for listed in reference.public_names(module)}
    assert [name for name, value in public.items() if id(value) not in here] == []


def test_every_name_of_the_reference_says_what_it_is():
    """A class by a text of its own, and each of its public methods and properties by theirs or that of a base."""
    assert [path for path in DOCUMENTED if not says_what_it_is(resolved(path))] == []
    classes = [(path, resolved(path)) for path in DOCUMENTED if inspect.isclass(resolved(path))]
    assert [f"{path}.{name}" for path, value in classes for name in silent_members(value)] == []


def says_what_it_is(value: Any) -> bool:
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return True  # an alias of other types: its text stands behind it in the source
    return bool(value.__doc__ and value.__doc__.strip())


def silent_members(owner: type) -> list[str]:
    found = []
    for name, member in vars(owner).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(function) and not inspect.getdoc(getattr(owner, name)):
            found.append(name)
    return found


def test_every_command_has_a_page():
    pages = commands.pages()
    assert {f"commands/{name}.md" for name in commands.names_of(commands.app)} < set(pages)
    for path, text in pages.items():
        assert text.startswith("# "), path
        assert "## None" not in text


def test_a_link_of_a_document_leads_to_the_page_of_its_file_or_names_the_file():
    shown = documents.shown(
        "[how](ARCHITECTURE.md), [run](benchmarks/run.py), [one](examples/tools.py), [page](docs/index.md#begin), "
        "[out](https://example.org/), [`benchmarks/README.md`](benchmarks/README.md)"
    )
    assert shown == (
        "[how](architecture.md), run (`benchmarks/run.py`), [one](examples.md#toolspy), [page](index.md#begin), "
        "[out](https://example.org/), `benchmarks/README.md`"
    )
