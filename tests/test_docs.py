"""What the documentation says is what the project holds, and what the project holds is documented."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import readme
import yaml
from cyclopts import CycloptsError
from support.documentation import HIDDEN, PAGES, ROOT, Block, Page, anchors_of, blocks_of, links_of, slug
from support.documentation_files import lay_out

import deepseek_async
from deepseek_async import AsyncDeepSeek
from deepseek_async.cli.app import app
from deepseek_async.simulator import Simulator, SimulatorSettings

# From docs/_generators, which ``documentation`` has put on the path.
import commands  # isort: skip
import documents  # isort: skip
import reference  # isort: skip

DOCUMENTED: Final = sorted({path for page in reference.PAGES for path in reference.paths(page)})
"""Every name that the reference has."""

GENERATED: Final = {**reference.pages(), **commands.pages(), **documents.pages()}
"""Pages below docs/ that are made when the site is built."""

BESIDE: Final = [Page(ROOT / name) for name in ("ARCHITECTURE.md", "ENDPOINTS.md", "SECURITY.md", "CODE_OF_CONDUCT.md")]
"""Documents whose links are followed, and whose text is no guide."""


# Programs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a reader is in, with the files that the pages speak of."""
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks("python")], ids=lambda page: page.name)
async def test_the_programs_of_a_page_run(page: Page, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Each after those above it, as inside ``async with AsyncDeepSeek() as client``."""
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    async with Simulator(SimulatorSettings(seed=7)) as simulator:
        for name in ("DEEPSEEK_BASE_URL", "OTHER_BASE_URL"):
            monkeypatch.setenv(name, simulator.base_url)
        monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-reader")
        async with AsyncDeepSeek() as client:
            vars(module).update(client=client, simulator=simulator)
            for block in page.blocks("python", HIDDEN):
                if "asyncio.run(" in block.text:
                    await run_as_program(page, block)
                else:
                    await run_inside(module, page, block)


async def run_inside(module: ModuleType, page: Page, block: Block) -> None:
    source = "\n" * (block.line - 1) + block.text  # so that a traceback names the line of the page
    code = compile(source, str(page.path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    waiting = eval(code, vars(module))
    if inspect.iscoroutine(waiting):
        await waiting


async def run_as_program(page: Page, block: Block) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", block.text),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, f"{page.name}:{block.line}\n{said.decode()}"


# Commands


FLAGS: Final = {
    "bench": ("benchmarks/run.py",),
    "test": ("tests/support/busy.py", "tests/conftest.py", "tests/support/thoroughness.py", "tests/faults/conftest.py"),
}
"""Where the flags of a script are said, if not in itself."""


def commands_of(page: Page) -> Iterator[list[str]]:
    """The words of each command in the page's shell blocks, pipes and redirections apart."""
    for block in page.blocks("sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.shlex(line, posix=True, punctuation_chars="|&;>")
            words.whitespace_split = True
            command: list[str] = []
            for word in words:
                if word[0] in "|&;>":
                    yield command
                    command = [] if word[0] != ">" else [">"]
                else:
                    command.append(word)
            yield command


def fault_of(command: list[str]) -> str | None:
    """What is wrong with a command, or None."""
    while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
        command = command[1:]
    match command:
        case [] | [">", _] | ["export", *_] | ["curl" | "jq" | "head" | "git", *_]:
            return None
        case ["deepseek-async", *words]:
            return fault_of_words(words)
        case ["pip", "install", *what] | ["pipx", "install", *what] | ["uv", "tool", "install", *what]:
            extras = {extra for word in what for found in re.findall(r"\[(.*)\]", word) for extra in found.split(",")}
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            missing = extras - set(project["optional-dependencies"])
            return f"no such extra: {missing}" if missing else None
        case ["python", script, *flags] if not script.startswith("-"):
            return fault_of_script(ROOT / script, flags)
        case [script, *flags] if "/" in script:
            return fault_of_script(ROOT / script, flags)
        case [".venv/bin/pytest", *_] | ["python", "-m", *_]:
            return None
    return "no command of this project"


def fault_of_words(words: list[str]) -> str | None:
    found = [name for word in words for name in (map(str, Path().glob(word)) if "*" in word else [word])]
    if found[-1] == "--help":
        found = found[:-1]
        return None if found and found[0] in app else "no such command"
    try:
        app.parse_args(found, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        return f"{type(error).__name__}: {error}"
    return None


def fault_of_script(script: Path, flags: list[str]) -> str | None:
    if str(script).startswith(str(ROOT / ".venv")):
        return None
    if not script.is_file():
        return "no such file"
    behind = FLAGS.get(script.name, ())
    known = script.read_text() + "".join((ROOT / file).read_text() for file in behind)
    unknown = [flag for flag in flags if flag.startswith("--") and flag.partition("=")[0] not in known]
    return f"unknown flags: {unknown}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("folder")
def test_the_commands_of_a_page_are_commands_with_flags_that_they_have(page: Page):
    for number in (1, 2):
        Path(f"part{number}.jsonl").touch()
    found = [(shlex.join(command), fault_of(command)) for command in commands_of(page)]
    assert [(command, fault) for command, fault in found if fault is not None] == []


# Links


def broken_links(text: str, place: Path) -> list[str]:
    """Those of ``links`` in a document at ``place`` that lead to no file, page or heading."""
    return [link for link in links_of(text) if "://" not in link and not leads_somewhere(link, text, place)]


def leads_somewhere(link: str, text: str, place: Path) -> bool:
    path, _, anchor = link.partition("#")
    if not path:
        return anchor in anchors_of(text)
    target = (place.parent / path).resolve()
    generated = (
        GENERATED.get(target.relative_to(ROOT / "docs").as_posix()) if target.is_relative_to(ROOT / "docs") else None
    )
    if generated is None and not target.exists():
        return False
    if not anchor or target.suffix != ".md":
        return True
    return anchor in anchors_of(generated if generated is not None else target.read_text())


def below_docs(path: Path) -> str | None:
    return path.relative_to(ROOT / "docs").as_posix() if path.is_relative_to(ROOT / "docs") else None


@pytest.mark.parametrize("page", [*PAGES, *BESIDE], ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Page):
    assert broken_links(page.text, page.path) == []


@pytest.mark.parametrize("path", GENERATED)
def test_the_links_of_a_generated_page_lead_somewhere(path: str):
    assert broken_links(GENERATED[path], ROOT / "docs" / path) == []


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    written = {
        page.path.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.path.is_relative_to(ROOT / "docs")
    }
    assert sorted(path for path in written | set(GENERATED) if f" {path}\n" not in navigation) == []


def test_the_workflows_run_commands_of_this_project():
    """Each step of theirs is a script, the same as by hand."""
    for path in (ROOT / ".github/workflows").iterdir():
        jobs = yaml.safe_load(path.read_text())["jobs"].values()
        steps = [shlex.split(step["run"]) for job in jobs for step in job["steps"] if "run" in step]
        assert steps
        assert [fault for words in steps if (fault := fault_of(words[words[0] == "sudo" :])) is not None] == []


@pytest.mark.parametrize("path", [*(ROOT / ".github").rglob("*.yml"), ROOT / "CITATION.cff"], ids=str)
def test_the_forms_and_the_citation_are_valid_yaml(path: Path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == deepseek_async.__version__


# Figures


def test_the_figures_of_the_readme_are_those_of_the_last_full_run():
    results = json.loads((ROOT / "benchmarks/results/full.json").read_text())
    text = readme.README.read_text()
    assert text == readme.rewritten(text, results)


# The reference


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


def test_members_that_only_the_library_uses_are_left_out_of_the_reference():
    assert {"hold", "hold_nowait"} <= set(reference.internal_members(deepseek_async.Budget))
    assert "bill" in reference.internal_members(deepseek_async.types.Message), "its docstring is that of the base"
    assert not {"remaining", "aclose"} & set(reference.internal_members(deepseek_async.Budget))
    assert "|hold_nowait|" in GENERATED["reference/client.md"]


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


def test_every_extra_is_listed_where_a_reader_installs_it():
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    rows = [line for line in (ROOT / "docs/get-started.md").read_text().splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`([\w-]+)`", row.split("|")[1])}
    assert listed == extras - {"dev", "docs"}


def test_every_variable_of_the_environment_is_listed_with_the_settings():
    modules = (path.read_text() for path in Path(deepseek_async.__file__).parent.rglob("*.py"))
    read = {name for text in modules for name in re.findall(r"DEEPSEEK_ASYNC_[A-Z_]+", text)}
    listed = set(re.findall(r"\| `(DEEPSEEK_ASYNC_[A-Z_]+)` \|", (ROOT / "docs/how-to/settings.md").read_text()))
    assert listed == read


def test_every_command_has_a_page():
    assert {f"commands/{name}.md" for name in commands.names_of(commands.app)} < set(GENERATED)


# What the tests themselves read


def test_a_link_of_a_document_leads_to_the_page_of_its_file_or_names_the_file():
    shown = documents.shown(
        "[how](ARCHITECTURE.md), [run](benchmarks/run.py), [one](examples/tools.py), [page](docs/index.md#begin), "
        "[out](https://example.org/), [`benchmarks/README.md`](benchmarks/README.md)"
    )
    assert shown == (
        "[how](architecture.md), run (`benchmarks/run.py`), [one](examples.md#toolspy), [page](index.md#begin), "
        "[out](https://example.org/), `benchmarks/README.md`"
    )


def test_blocks_are_found_with_their_language_and_line():
    text = "Text\n```python\na = 1\n```\n<!-- python\nassert a\n-->\n- item\n\n    ```sh\n    scripts/demo\n    ```\n"
    assert list(blocks_of(text)) == [
        Block("python", "a = 1", 3),
        Block(HIDDEN, "assert a", 6),
        Block("sh", "scripts/demo", 11),
    ]
    with pytest.raises(ValueError, match="not closed"):
        list(blocks_of("```python\na = 1\n"))


def test_links_are_found_outside_code_only():
    assert links_of("[a](b.md#c) `[d](e.md)`\n```\n[f](g.md)\n```\n![h](i.png) [`j`](k.md)") == ["b.md#c", "k.md"]


def test_a_heading_is_linked_to_by_its_words():
    assert slug("## `run_tools` and `max_calls`".lstrip("# ")) == "run_tools-and-max_calls"


def test_the_programs_and_commands_of_a_page_fit_on_it():
    """Longer lines are cut off by the width of a page."""
    blocks = [(page.name, block) for page in PAGES for block in page.blocks("python", "sh", "yaml", "js")]
    lines = [(f"{name}:{block.line}", line) for name, block in blocks for line in block.text.splitlines()]
    assert [(place, line) for place, line in lines if len(line) > 100] == []


@pytest.mark.parametrize(
    "command",
    ["deepseek-async batch rum in.jsonl", "deepseek-async batch run in.jsonl -o out.jsonl --sharp 1/2", "deepsek chat",
     "scripts/dmeo", "scripts/bench --scenaro plain", "pip install 'deepseek-async[al]'"],
)  # fmt: skip
@pytest.mark.usefixtures("folder")
def test_a_command_that_is_none_is_found(command: str):
    assert fault_of(shlex.split(command)) is not None


def test_a_link_that_leads_nowhere_is_found():
    text = (
        "# One\n[a](#one) [b](#two) [c](README.md) [d](no.md) [e](docs/reference/errors.md) [f](docs/reference/no.md)"
    )
    assert broken_links(text, ROOT / "x.md") == ["#two", "no.md", "docs/reference/no.md"]
