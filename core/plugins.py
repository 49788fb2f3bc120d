"""The user's own methods: every .py file in the folders that MIRAGE_PLUGINS lists.

A file that cannot be used is left out, together with all that it defined, and reported; everything else works on.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import stat
import sys
import traceback
import zlib
from pathlib import Path

from core import files
from core.declaration import Configurable
from core.inputs import InvalidInput
from core.models.architectures import ARCHITECTURES
from core.registry import Registry

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_problems: dict[str, str] = {}  # by file or folder


def problems() -> tuple[str, ...]:
    """What could not be loaded and why, a sentence each."""
    return tuple(_problems.values())


def load_plugins() -> None:
    """Import every plugin that is not imported yet; what cannot be is told by `problems`."""
    _problems.clear()
    for word in filter(None, os.environ.get("MIRAGE_PLUGINS", "").split(os.pathsep)):
        folder = Path(os.path.expanduser(word))
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(".py") and not name.startswith("."))
        except (OSError, ValueError) as error:
            why = files.reason(error) if isinstance(error, OSError) else "this is no file name"
            _problems[word] = f"The plugin folder {files.display_path(word)} cannot be read: {why}."
            continue
        for name in names:
            file = folder / name
            try:
                load_plugin(file)
            except InvalidInput as error:
                _problems[str(file)] = f"The plugin {files.display_path(file)} is left out: {error}"


def load_plugin(file: Path) -> None:
    """Import one file, once.

    Raises:
        InvalidInput: it fails, or what it defines cannot be used; nothing of it stays.
    """
    name = _module_name(file)
    if name in sys.modules:
        return
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise InvalidInput("it is no regular file.")
    except OSError as error:
        raise InvalidInput(f"{files.reason(error)}.") from None
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InvalidInput("it cannot be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    before = [(registry, dict(registry.classes)) for registry in Registry.all]
    architectures = dict(ARCHITECTURES.entries)
    sys.modules[name] = module  # before it runs: pydantic looks up annotations there
    try:
        spec.loader.exec_module(module)
        for registry, classes in before:
            for cls in registry.classes.values():
                if classes.get(cls.name) is not cls:
                    _check(cls)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        for registry, classes in before:
            registry.classes.clear()
            registry.classes.update(classes)
        ARCHITECTURES.entries.clear()
        ARCHITECTURES.entries.update(architectures)
        raise InvalidInput(_reason(error, file)) from error


def _module_name(file: Path) -> str:
    """Two files of the same name in two folders are two modules."""
    plain = f"mirage_plugin_{file.stem}"
    path = os.path.realpath(file)
    first = sys.modules.get(plain)
    if first is None or os.path.realpath(first.__file__ or "") == path:
        return plain
    return f"{plain}_{zlib.crc32(os.fsencode(path)):08x}"


def _check(cls: type[Configurable]) -> None:
    """Try what the screens and the command line do with every method.

    Raises:
        InvalidInput: the declaration cannot be used.
    """
    for attribute in ("name", "title", "summary", "paper"):
        if not isinstance(getattr(cls, attribute, None), str):
            raise InvalidInput(
                f"{cls.__name__} has no {attribute}; every method declares name, title, summary and paper."
            )
    if not _NAME.fullmatch(cls.name):
        raise InvalidInput(f"{cls.__name__} is named {cls.name[:60]!r}; a name has 1 to 40 letters, digits, - and _.")
    if inspect.isabstract(cls):
        raise InvalidInput(f"{cls.__name__} does not define {', '.join(sorted(cls.__abstractmethods__))}.")
    for parameter in cls.parameters():
        if not parameter.help:
            raise InvalidInput(f"The parameter {parameter.name!r} of {cls.__name__} has no line of help.")
        if parameter.kind in ("number", "integer") and (parameter.low is None or parameter.high is None):
            raise InvalidInput(
                f"The parameter {parameter.name!r} of {cls.__name__} has no range; declare it by number()."
            )
    cls().describe()


def _reason(error: BaseException, file: Path) -> str:
    if isinstance(error, InvalidInput):
        return str(error)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    text = " ".join(str(error).split())[:200]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}{': ' + text if text else ''}{place}."
