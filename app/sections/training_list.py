"""The list of trainings: open, stop, resume, delete."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from app import theme
from app.sections.run_list import key_of
from app.sections.training_run import NOT_YOURS, stop
from app.state import owner, session
from core import domains
from core.inputs import InvalidInput, quoted
from core.training import TrainingPlan, runs
from core.training.runs import TrainingRun

PAGE = 20  # trainings at once
PARAMETER = "training"  # of the page's address


def chosen(listed: list[TrainingRun]) -> str:
    """The training to show: the link's, else the newest that can be read; '' for none."""
    named = str(st.query_params.get(PARAMETER, ""))
    return named or next((run.name for run in listed if run.plan is not None), "")


def training_list(listed: list[TrainingRun], shown: str) -> None:
    """All trainings, the newest first; a damaged one says so."""
    if not listed:
        st.caption("No training is kept yet. What you train is kept on disk, and can be opened again here.")
        return
    sheet = st.pagination(-(-len(listed) // PAGE), key="tr_page") if len(listed) > PAGE else 1
    for run in listed[(sheet - 1) * PAGE : sheet * PAGE]:
        _line(run, shown)


def _line(run: TrainingRun, shown: str) -> None:
    name, status, mine = key_of(run.name), run.status, owner.may_manage(run.owner)
    busy = status.state == "running"
    with st.container(horizontal=True, vertical_alignment="center", key=f"training_row_{name}"):
        if run.plan is None:
            st.markdown(f"✗ {theme.plain(quoted(run.name))}: {theme.plain(run.problem)}", width="stretch")
        else:
            title = theme.plain(run.name)
            facts = [theme.plain(f"{domains.get(run.plan.domain).title}: {run.plan.title}")]
            if status.started:
                facts.append(datetime.fromtimestamp(status.started).strftime("%Y-%m-%d %H:%M"))
            facts.append(_state(run))
            if not mine:
                facts.append("started by somebody else")
            st.markdown(f"{f'**{title}**' if run.name == shown else title}  \n{' · '.join(facts)}", width="stretch")
            if st.button("Open", key=f"open_{name}", disabled=run.name == shown):
                show(run.name)
            if busy and run.name != shown and mine:
                st.button("Stop", key=f"stop_{name}", on_click=stop, args=(run.name,), disabled=runs.is_stopping(run))
            resumable = mine and status.state in ("stopped", "failed", "interrupted")
            if resumable and st.button("Resume", key=f"go_{name}") and begin(run.plan):
                st.rerun()
        if mine and st.button("Delete", key=f"delete_{name}", icon=":material/delete:", disabled=busy):
            _sure(run.name)


def _state(run: TrainingRun) -> str:
    """The state of a run in words, with how far it is and what went wrong."""
    status = run.status
    share = f" at {100 * status.step / status.steps:.0f} %" if status.steps and status.state != "done" else ""
    error = f": {theme.plain(status.error, 200)}" if status.error else ""
    return f"{status.state}{share}{error}"


@st.dialog("Delete this training?")
def _sure(name: str) -> None:
    """Nothing is lost by one click."""
    st.write("Its plan, curves, sample images and checkpoint go for good. What it made stays.")
    if st.button("Delete it", type="primary", key="tr_sure", on_click=_delete, args=(name,)):
        st.rerun()


def _delete(name: str) -> None:
    try:
        if not owner.may_manage(runs.find_run(name).owner):
            raise InvalidInput(NOT_YOURS)
        runs.delete(name)
    except InvalidInput as error:
        session.report_error(str(error))
        return
    if st.query_params.get(PARAMETER) == name:
        del st.query_params[PARAMETER]


def show(name: str) -> None:
    """Open that training."""
    st.query_params[PARAMETER] = name
    st.rerun()


def begin(plan: TrainingPlan) -> bool:
    """Start a training, or resume the one of that plan, and show it; False with a sentence where it is refused."""
    try:
        run = runs.start(plan, owner.me())
    except InvalidInput as error:
        st.error(theme.plain(str(error)))
        return False
    st.query_params[PARAMETER] = run.name
    return True
