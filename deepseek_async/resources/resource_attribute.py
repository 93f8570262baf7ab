"""Attributes of a client that hold its resources.

``unittest.mock.create_autospec(AsyncDeepSeek)`` reads a class only: a resource that is set in ``__init__`` is missing
in such a mock. On the class, these attributes are the type of the resource.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from deepseek_async.resources.resource_client import ResourceClient

T = TypeVar("T")


class ResourceAttribute(Generic[T]):
    """An attribute that ``make`` creates on first use, from the object that has it.

    Not a data descriptor: once created, the resource is an ordinary attribute of its client.
    """

    def __init__(self, make: Callable[[Any], T], kind: Callable[[], type[T]]) -> None:
        self._make = make
        self._kind = kind
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> type[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> T | type[T]:
        if instance is None:
            return self._kind()
        made = vars(instance)[self._name] = self._make(instance)
        return made


def resource(kind: Callable[[ResourceClient], T]) -> ResourceAttribute[T]:
    """Return the attribute for a ``kind`` of resource, over the ``_context`` of its owner."""

    def of_class() -> type[T]:
        assert isinstance(kind, type)  # noqa: S101  a class, of which only the call is declared
        return kind

    return ResourceAttribute(lambda owner: kind(owner._context), of_class)  # noqa: SLF001  the owner's other half


def resources_of(kind: type) -> tuple[str, ...]:
    """Return the names of the resources of a ``kind`` of client."""
    of_all = [item for each in kind.__mro__ for item in vars(each).items()]
    return tuple(name for name, value in of_all if isinstance(value, ResourceAttribute))
