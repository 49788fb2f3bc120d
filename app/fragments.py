"""Parts of a page that run again on their own, so that they cannot empty it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import streamlit as st
from streamlit.runtime.scriptrunner import RerunException, get_script_run_ctx

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
def page_run() -> Iterator[None]:
    """A run of the page, after which only the fragments that it drew can run again.

    Streamlit sees to that where a run comes to its end, but not where `st.stop` or an error ends it: a fragment of an older
    run, whose turn the browser has asked for already, would then draw at a place that this page does not have.
    """
    try:
        yield
    except RerunException:
        raise  # the next run follows at once; what a visitor presses until then is for the fragments that stand there
    except BaseException:
        context = get_script_run_ctx()
        assert context is not None
        context.fragment_storage.clear(new_fragment_ids=context.shared.new_fragment_ids.snapshot())
        raise
