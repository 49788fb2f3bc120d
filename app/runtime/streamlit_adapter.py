"""The one adapter to what Streamlit does not offer: everything in the app that relies on its internals is here.

Streamlit is pinned exactly, and tests/app/test_streamlit_adapter.py says what a new version has to keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

import streamlit as st
from streamlit.runtime import get_instance
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import RerunException, get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile


def stepped_in_history() -> bool:
    """Whether this run of the page follows the browser's Back or Forward button."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


@dataclass(frozen=True)
class Taken:
    """An uploaded file, and the number that its widget knows it by."""

    number: str
    name: str
    data: bytes


def take_files(files: Iterable[object]) -> list[Taken]:
    """The uploaded files that are new, which the server drops: a widget would keep them until its user leaves."""
    context = get_script_run_ctx()
    taken = []
    for file in files:
        if isinstance(file, UploadedFile):  # else it was taken before
            taken.append(Taken(file.file_id, file.name, file.getvalue()))
            file.truncate(0)
            if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
                context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
    return taken


def file_numbers(files: Iterable[object]) -> set[str]:
    """The numbers of all files that a widget lists, those included that were taken."""
    return {str(getattr(file, "file_id", "")) for file in files}


def media_file(file: bytes, kind: str, place: str, name: str) -> str:
    """The address at which the browser fetches a file of that MIME type; `place` is what else on the page keeps it.

    Streamlit knows a large file by its ends; with the `name` in it, two that differ in their middle have two addresses.
    """
    return get_instance().media_file_mgr.add(file, kind, place, file_name=name)


def without_pages_folder() -> None:
    """Have the server take a folder called pages/ for no pages of its own.

    Until the first st.navigation of a process, Streamlit takes it for its older kind of app: a link to /attack opened first would run
    that file alone, without the main one.
    """
    PagesManager.uses_pages_directory = False


# JavaScript: the element that `selector` names inside a component, which Streamlit draws in a shadow root of its own, in the
# container of a key; undefined where it is not on the page yet.
FIND_IN_COMPONENT = """(key, selector) => [...document.querySelectorAll('.st-key-' + key + ' *')]
    .map((e) => e.shadowRoot && e.shadowRoot.querySelector(selector)).find((e) => e)"""


P = ParamSpec("P")


def fragment(run_every: float | None = None) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """`st.fragment` in a container of its own, which is drawn by the page.

    When a fragment runs, Streamlit drops what the page's last run drew of it and has not sent yet. With a place that is
    the page's, nothing after it moves up meanwhile; else what comes next is drawn over something else or, behind the last
    element, nowhere at all: the browser then gives up with "Bad delta path" and a white page.
    """

    def placed(function: Callable[P, None]) -> Callable[P, None]:
        drawn = st.fragment(function, run_every=run_every)

        @wraps(function)
        def place(*args: P.args, **kwargs: P.kwargs) -> None:
            with st.container():
                drawn(*args, **kwargs)

        return place

    return placed


@contextmanager
def page_run(after: Callable[[], None]) -> Iterator[None]:
    """A run of the page, after which only the fragments that it drew can run again; `after` is called at its end.

    Streamlit sees to that where a run comes to its end, but not where `st.stop` or an error ends it: a fragment of an older
    run, whose turn the browser has asked for already, would then draw at a place that this page does not have.
    """
    try:
        yield
    except RerunException:
        raise  # the next run follows at once; what a user presses until then is for the fragments that stand there
    except BaseException:
        context = get_script_run_ctx()
        assert context is not None
        context.fragment_storage.clear(new_fragment_ids=context.shared.new_fragment_ids.snapshot())
        after()
        raise
    after()
