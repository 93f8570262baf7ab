"""A framework that is missing, too old or unknown is said in one sentence."""

from __future__ import annotations

import warnings
from importlib.metadata import PackageNotFoundError

import pytest

from deepseek_async.integrations import requirement
from deepseek_async.integrations.requirement import require


def asked(monkeypatch: pytest.MonkeyPatch, installed: str | None) -> None:
    def version(_: str) -> str:
        if installed is None:
            raise PackageNotFoundError
        return installed

    monkeypatch.setattr(requirement, "version", version)
    require("langchain-core", "langchain", oldest=(1, 4), before=(2,))


@pytest.mark.parametrize("installed", ["1.4.0", "1.8.3", "1.10.0rc1"])
def test_a_known_version_is_silent(monkeypatch: pytest.MonkeyPatch, installed: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked(monkeypatch, installed)


def test_a_missing_one_and_an_old_one_say_what_to_install(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        ImportError, match=r'^langchain-core is not installed: pip install "deepseek-async\[langchain\]"$'
    ):
        asked(monkeypatch, None)
    with pytest.raises(ImportError, match=r"^langchain-core must be version 1\.4 or newer, got 1\.3\.9: pip install"):
        asked(monkeypatch, "1.3.9")


def test_a_newer_one_is_tried_with_a_warning(monkeypatch: pytest.MonkeyPatch):
    with pytest.warns(UserWarning, match=r"^langchain-core 2\.0\.0 is newer than this version of deepseek-async knows"):
        asked(monkeypatch, "2.0.0")
