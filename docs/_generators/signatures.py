"""Signatures in the reference: of a function that takes the options of a client, with each and its default."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import griffe


class ClientSignatures(griffe.Extension):
    """Replaces ``**options: Unpack[ClientOptions]`` by what ``inspect.signature`` says."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Replace the parameters of ``func`` if it takes a client's options."""
        if "takes_client_options" not in {str(each.value) for each in func.decorators}:
            return
        found: Any = importlib.import_module(func.module.path)
        for name in func.path.removeprefix(f"{func.module.path}.").split("."):
            found = inspect.getattr_static(found, name)
        found = getattr(found, "__func__", found)  # of a class method
        func.parameters = griffe.Parameters(*map(_parameter, inspect.signature(found).parameters.values()))


def _parameter(given: inspect.Parameter) -> griffe.Parameter:
    bare = inspect.Parameter.empty
    return griffe.Parameter(
        given.name,
        annotation=None if given.annotation is bare else given.annotation,
        kind=griffe.ParameterKind(given.kind.description),
        default=None if given.default is bare else repr(given.default).replace("'", '"'),
    )
