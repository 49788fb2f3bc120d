"""The registries: the methods of each kind by name, and the import of the packages whose files define them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from core.inputs import InvalidInput, shortened


class Named(Protocol):
    """What a registry asks of a class: a name, a title, and parameters by keyword."""

    name: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, /, **values: Any) -> None: ...


D = TypeVar("D", bound=Named)


class Registry(Generic[D]):
    """The methods of one kind by name; a class enters it by being defined."""

    all: ClassVar[list[Registry[Any]]] = []

    def __init__(self, what: str) -> None:
        self.what = what
        self.classes: dict[str, type[D]] = {}
        self.all.append(self)

    def add(self, cls: type[D]) -> None:
        """Take a class in; the same class defined anew, as in a notebook, replaces itself.

        Raises:
            InvalidInput: another class has that name.
        """
        existing = self.classes.get(cls.name)
        if existing is not None and (existing.__module__, existing.__qualname__) != (cls.__module__, cls.__qualname__):
            raise InvalidInput(
                f"{existing.title} is the {self.what} called {shortened(repr(cls.name))} already; choose another name."
            )
        self.classes[cls.name] = cls

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.classes, key=lambda name: self.classes[name].title.lower()))

    def get(self, name: str) -> type[D]:
        """The class of that name.

        Raises:
            InvalidInput: there is none; the sentence lists those there are.
        """
        if name not in self.classes:
            raise InvalidInput(
                f"There is no {self.what} called {shortened(repr(name))}; there are {', '.join(self.names())}."
            )
        return self.classes[name]

    def build(self, name: str, params: Mapping[str, Any]) -> D:
        """The method of that name with these parameters, checked."""
        return self.get(name)(**dict(params))


def load_package(package: ModuleType) -> None:
    """Import every file of a package, so that the classes in them enter their registry."""
    for info in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{info.name}")
