"""The list of runs: open, go on, stop, compare, delete."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

import streamlit as st

from app import theme
from app.components.tables import table
from app.runtime import evaluation_jobs
from app.runtime.streamlit_adapter import fragment
from app.state import owner, session
from app.state.result_keys import device_name
from app.text import duration, plural
from core import domains
from core.evaluate import Metrics, Plan, run_index
from core.evaluate import report as reports
from core.evaluate.database import quoted
from core.inputs import InvalidInput

PAGE_SIZE = 20  # runs at once


def selected_run(listed: list[run_index.RunSummary], domain: str) -> str:
    """The run to show: the link's, else the newest of that domain; '' for none. Who changes the domain leaves a run of another one."""
    named = str(st.query_params.get("run", ""))
    line = next((line for line in listed if line.name == named), None)
    left = st.session_state.get("ev_domain", domain) != domain
    st.session_state.ev_domain = domain
    if left and line is not None and line.plan is not None and line.plan.domain != domain:
        del st.query_params["run"]
        named = ""
    return named or next((line.name for line in listed if line.plan is not None and line.plan.domain == domain), "")


@fragment(run_every=0.7)
def show_run_progress(name: str) -> None:
    """How far the run is, how long still, and Stop."""
    at = evaluation_jobs.find(name)
    if at is None or not at.is_alive:
        st.rerun()
    assert at is not None
    advance = at.advance
    if advance is None:
        st.progress(0.0, text=_waiting(at))
    else:
        left = "" if advance.eta is None else f", {duration(advance.eta)} left"
        st.progress(
            advance.done / max(1, advance.total),
            text=f"{theme.plain(advance.text)}: {advance.done:,} of {advance.total:,} parts{left}",
        )
    mine = owner.may_manage(at.owner)
    if st.button(
        "Stop",
        key="stop",
        icon=":material/stop:",
        disabled=at.cancel.is_set() or not mine,
        help=None if mine else evaluation_jobs.NOT_YOURS,
    ):
        try:
            evaluation_jobs.stop(at)
        except InvalidInput as error:
            st.error(theme.plain(str(error)))


def _waiting(at: evaluation_jobs.RunningEvaluation) -> str:
    """What an evaluation waits for that has not begun."""
    before = evaluation_jobs.queued_before(at)
    if not before:
        return "Waiting for a turn on the device"
    whose = "an evaluation of yours" if before[0].owner == at.owner else "an evaluation of another user"
    more = "" if len(before) == 1 else f", and {len(before) - 1} more come first"
    return f"Waiting: {whose} has the device{more}"


def compare_runs(name: str, listed: list[run_index.RunSummary]) -> None:
    """Two runs beside each other, where both have the same attack and column."""
    here = next((line for line in listed if line.name == name), None)
    others = [
        line.name
        for line in listed
        if line.plan is not None
        and line.name != name
        and (here is None or here.plan is None or line.plan.domain == here.plan.domain)
    ]
    if not others:
        st.caption("A second run of the same domain can be compared with this one.")
        return
    titles = {summary.name: _title(summary) for summary in listed}
    other = st.selectbox("Compare with", others, format_func=titles.__getitem__, key="ev_other")
    try:
        with run_index.open_run(name) as first_run, run_index.open_run(other) as second_run:
            metrics = Metrics(first_run), Metrics(second_run)
            rows, left_out = reports.compare_runs(*metrics), reports.only_in_one(*metrics)
            several = max(len(run.plan.classifier_names()) for run in (first_run, second_run)) > 1
    except InvalidInput as error:
        st.warning(theme.plain(str(error)))
        return
    if rows:
        if several:
            st.caption("Each run is shown with its first classifier.")
        table(rows, key="ev_compare", name="comparison")
        if left_out:
            st.caption(f"Left out, because only one run has it: {theme.plain(', '.join(left_out))}.")
    else:
        st.caption("The two have no attack and defense in common.")


def _title(summary: run_index.RunSummary) -> str:
    short = quoted(summary.name)[1:-1][-6:]
    if summary.plan is None:
        return quoted(summary.name)
    domain = domains.get(summary.plan.domain)
    what = ", ".join(dict.fromkeys(a.title for a in summary.plan.built_attacks)) or "no attack"
    return f"{domain.title}, {plural(summary.plan.n_images, 'image')}: {what} · {short}"


def key_of(name: str) -> str:
    """A run's name where it can be part of a widget's key; else something as short that stands for it."""
    if re.fullmatch(r"[A-Za-z0-9._-]{1,80}", name):
        return name
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def run_list(listed: list[run_index.RunSummary], shown: str, domain: str) -> None:
    """All runs that are kept, those of the domain first: open, go on, delete; a damaged one says so."""
    if not listed:
        st.caption("No run is kept yet. What you run is kept on disk, and can be opened again here.")
        return
    here = [line for line in listed if line.plan is None or line.plan.domain == domain]
    others = [line for line in listed if line not in here]
    if not here:
        st.caption(f"No run of {domains.get(domain).title} is kept yet.")
    _run_rows(here, shown, "ev_runs_page")
    if others:
        with st.expander(f"Runs of other domains ({len(others)})", expanded=any(o.name == shown for o in others)):
            _run_rows(others, shown, "ev_runs_other_page")


def _run_rows(listed: list[run_index.RunSummary], shown: str, key: str) -> None:
    sheet = st.pagination(-(-len(listed) // PAGE_SIZE), key=key) if len(listed) > PAGE_SIZE else 1
    for summary in listed[(sheet - 1) * PAGE_SIZE : sheet * PAGE_SIZE]:
        _run_row(summary, shown)


def _run_row(summary: run_index.RunSummary, shown: str) -> None:
    """One run: what it is, how far it is, and what may be done with it here."""
    at, name = evaluation_jobs.find(summary.name), key_of(summary.name)
    busy = at is not None and at.is_alive
    mine = owner.may_manage(summary.owner)
    with st.container(horizontal=True, vertical_alignment="center", key=f"run_{name}"):
        if summary.problem:
            st.markdown(f"✗ {theme.plain(summary.problem)}", width="stretch")
        else:
            title = theme.plain(_title(summary))
            state = (
                "running"
                if at is not None and busy and at.advance
                else "waiting"
                if busy
                else reports.state(summary.done, summary.total)
            )
            when = datetime.fromtimestamp(summary.started_at).strftime("%Y-%m-%d %H:%M")
            whose = "" if mine else " · begun by somebody else"
            st.markdown(
                f"{f'**{title}**' if summary.name == shown else title}  \n"
                f"{when} · {state} · {summary.bytes / 1e6:.1f} MB{whose}",
                width="stretch",
            )
            if st.button("Open", key=f"open_{name}", disabled=summary.name == shown):
                open_run(summary.name)
            if (
                mine
                and not busy
                and summary.plan
                and summary.done < summary.total
                and st.button("Go on", key=f"go_{name}")
            ):
                start_run(summary.plan)
        if mine and st.button("Delete", key=f"delete_{name}", icon=":material/delete:", disabled=busy):
            confirm_delete(summary.name)


@st.dialog("Delete this run?")
def confirm_delete(name: str) -> None:
    """Nothing is lost by one click."""
    st.write("Its numbers and images go for good.")
    if st.button("Delete it", type="primary", key="ev_sure", on_click=_delete, args=(name,)):
        st.rerun()


def _delete(name: str) -> None:
    try:
        evaluation_jobs.delete(name)
    except InvalidInput as error:
        session.report_error(str(error))
        return
    if st.query_params.get("run") == name:
        del st.query_params["run"]


def open_run(name: str) -> None:
    st.query_params["run"] = name
    st.rerun()


def start_run(plan: Plan) -> None:
    """Start a run, or go on with it, and show it."""
    try:
        evaluation = evaluation_jobs.start(plan, device_name())
    except InvalidInput as error:
        st.error(theme.plain(str(error)))
        return
    open_run(evaluation.name)
