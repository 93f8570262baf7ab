"""The pages of the command line, from the commands themselves: one page for each command of the first level."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

from cyclopts import App

from deepseek_async.cli.app import app

PROGRAM = "deepseek-async"


def pages() -> dict[str, str]:
    """Markdown by path."""
    names = sorted(names_of(app))
    made = {f"commands/{name}.md": page(name) for name in names}
    made["commands/index.md"] = index(names)
    return made


def names_of(parent: App) -> Iterator[str]:
    """The commands below ``parent``, without its flags."""
    return (name for name in parent if not name.startswith("-"))


def index(names: list[str]) -> str:
    """The page that lists the commands."""
    rows = [f"| [`{name}`]({name}.md) | {first_sentence(app[name])} |" for name in names]
    return "\n".join(["# Command line", "", about(app), "", "| Command | What it does |", "|---|---|", *rows, ""])


def page(name: str) -> str:
    """The page of one command, with a section for each command below it."""
    command = app[name]
    words = f"{PROGRAM} {name}"
    below = list(names_of(command))
    if not below:
        return f"# {words}\n\n{body(command, words)}"
    parts = [f"# {words}", about(command)]
    parts += [f"## {words} {member}\n\n{body(command[member], f'{words} {member}')}" for member in below]
    return "\n\n".join(parts)


def body(command: App, words: str) -> str:
    """Usage, arguments, flags and examples of one command that runs."""
    text = command.generate_docs(output_format="markdown", recursive=False, usage_name=words)
    text = text.partition("\n")[2].strip()  # its heading is ours
    examples = cleandoc(command.help_epilogue or "")
    return f"{text}\n\n{examples}\n"


def about(command: App) -> str:
    """What a command says of itself."""
    return cleandoc(command.help)


def first_sentence(command: App) -> str:
    """The beginning of what a command says of itself, on one line."""
    return about(command).split("\n\n")[0].replace("\n", " ")
