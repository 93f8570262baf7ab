"""Pages that show files of the repository: the programs in examples/, and the documents beside the README."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    "architecture.md": "ARCHITECTURE.md",
    "endpoints.md": "ENDPOINTS.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security-policy.md": "SECURITY.md",
}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def pages() -> dict[str, str]:
    """Markdown by path."""
    made = {page: shown((ROOT / file).read_text()) for page, file in DOCUMENTS.items() if (ROOT / file).exists()}
    made["examples.md"] = examples()
    return made


def shown(text: str) -> str:
    """A document as a page: its links lead to pages, and files that have none are named instead."""
    return _LINK.sub(_link, text)


def _link(found: re.Match[str]) -> str:
    words, target = found.groups()
    path, _, anchor = target.partition("#")
    if "://" in target or not path:
        return found[0]
    if path.startswith("docs/"):
        return f"[{words}]({target.removeprefix('docs/')})"
    page = {file: page for page, file in DOCUMENTS.items()}.get(path)
    if path in {"examples", "examples/"} or path.startswith("examples/"):
        page, anchor = "examples.md", Path(path).name.replace(".", "") if path.endswith(".py") else ""
    if page is None:
        return words if words.strip("`") == path else f"{words} (`{path}`)"
    return f"[{words}]({page}{'#' if anchor else ''}{anchor})"


def examples() -> str:
    """Every program of examples/, whole."""
    parts = ["# Examples", "Whole programs. Each is run against the simulator by the tests."]
    for path in sorted((ROOT / "examples").glob("*.py")):
        source = path.read_text()
        about = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        parts.append(f"## {path.name}\n\n{about}\n\n```python\n{source}```")
    return "\n\n".join(parts) + "\n"
