"""What MkDocs calls: pages that are made from the code join those that are written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import commands
import documents
import reference
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def pages() -> dict[str, str]:
    """Markdown of every generated page, by its path below docs/."""
    return {**reference.pages(), **commands.pages(), **documents.pages()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
