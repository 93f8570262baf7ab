"""What the README says is what the project holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])


def test_its_figures_are_those_of_the_last_full_run():
    import readme

    results = json.loads((ROOT / "benchmarks/results/full.json").read_text())
    text = readme.README.read_text()
    assert text == readme.rewritten(text, results)


def test_the_files_it_links_to_exist():
    text = (ROOT / "README.md").read_text()
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    assert links
    assert [link for link in links if "://" not in link and not (ROOT / link.split("#")[0]).exists()] == []
