"""The list of runs: open, go on, stop, compare, delete."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from app import evaluations, theme
from app.evaluations import Running
from app.fragments import fragment
from app.results import place as device_name
from app.tables import table
from app.words import duration
from core import domains
from core.evaluate import Findings, Plan, shelf
from core.evaluate import report as reports
from core.inputs import BadInput


@fragment(run_every=0.7)
def progress(name: str) -> None:
    """How far the run is, how long still, and Stop."""
    at = evaluations.running(name)
    if at is None or at.finished.is_set():
        st.rerun()
    assert at is not None
    advance = at.advance
    if advance is None:
        st.progress(0.0, text="Waiting for a turn on the device")
    else:
        left = "" if advance.left is None else f", {duration(advance.left)} left"
        st.progress(
            advance.done / max(1, advance.total),
            text=f"{advance.text}: {advance.done:,} of {advance.total:,} parts{left}",
        )
    if st.button("Stop", key="stop", icon=":material/stop:", disabled=at.cancel.is_set()):
        at.cancel.set()
    if st.button("Show what is there so far", key="so_far", icon=":material/refresh:"):
        st.rerun()


def comparison(name: str, listed: list[shelf.Listed]) -> None:
    """Two runs beside each other, where both have the same attack and column."""
    others = [one.name for one in listed if one.plan is not None and one.name != name]
    if not others:
        st.caption("A second run can be compared with this one.")
        return
    titles = {one.name: _title(one) for one in listed}
    other = st.selectbox("Compare with", others, format_func=titles.__getitem__, key="ev_other")
    with shelf.opened(name) as here, shelf.opened(other) as there:
        rows = reports.compared(Findings(here), Findings(there))
    if rows:
        table(rows, key="ev_compare", name="comparison")
    else:
        st.caption("The two have no attack and defense in common.")


def _title(one: shelf.Listed) -> str:
    if one.plan is None:
        return one.name
    domain = domains.get(one.plan.domain)
    what = ", ".join(dict.fromkeys(a.title for a in one.plan.built_attacks)) or "no attack"
    return f"{domain.title}, {one.plan.count:,} pictures: {what} · {one.name[-6:]}"


def runs(listed: list[shelf.Listed], shown: str) -> None:
    """All runs that are kept: open, go on, delete; a damaged one says so."""
    if not listed:
        st.caption("No run is kept yet. What you run is kept on disk, and can be opened again here.")
        return
    for one in listed:
        at: Running | None = evaluations.running(one.name)
        busy = at is not None and not at.finished.is_set()
        with st.container(horizontal=True, vertical_alignment="center", key=f"run_{one.name}"):
            parts = "done" if one.done == one.total else f"{one.done} of {one.total} parts"
            state = "running" if busy else parts
            when = datetime.fromtimestamp(one.began).strftime("%Y-%m-%d %H:%M")
            title = f"**{theme.plain(_title(one))}**" if one.name == shown else theme.plain(_title(one))
            if one.problem:
                st.markdown(f"✗ {theme.plain(one.problem)}", width="stretch")
            else:
                st.markdown(f"{title}  \n{when} · {state} · {one.bytes / 1e6:.1f} MB", width="stretch")
                if st.button("Open", key=f"open_{one.name}", disabled=one.name == shown):
                    show(one.name)
                if not busy and one.plan and one.done < one.total and st.button("Go on", key=f"go_{one.name}"):
                    begin(one.plan)
            if st.button("Delete", key=f"delete_{one.name}", icon=":material/delete:", disabled=busy):
                sure(one.name)


@st.dialog("Delete this run?")
def sure(name: str) -> None:
    """Nothing is lost by one click."""
    st.write("Its numbers and pictures go for good.")
    if st.button("Delete it", type="primary", key="ev_sure", on_click=_delete, args=(name,)):
        st.rerun()


def _delete(name: str) -> None:
    shelf.delete(name)
    if st.query_params.get("run") == name:
        del st.query_params["run"]


def show(name: str) -> None:
    st.query_params["run"] = name
    st.rerun()


def begin(plan: Plan) -> None:
    """Start a run, or go on with it, and show it."""
    try:
        evaluations.start(plan, device_name())
    except BadInput as error:
        st.error(str(error))
        return
    show(plan.name)
