"""Training: a plan becomes a classifier, a denoiser or attention masks, in a process of its own."""

import streamlit as st

from app import theme
from app.runtime.streamlit_adapter import fragment
from app.sections import training_form
from app.sections.sidebar import offer_data_set
from app.sections.training_list import begin, chosen, training_list
from app.sections.training_run import (
    find,
    headline,
    save_buttons,
    show_figures,
    show_result,
    show_training_progress,
    views,
)
from app.state import session
from app.verdicts.training import training_verdict
from core import domains
from core.inputs import quoted
from core.training import TrainingPlan, runs
from core.training.data import DATASETS

EVERY = 2.0  # seconds between two looks at a training that runs


def data_is_here(plan: TrainingPlan, domain: str) -> bool:
    """Whether the plan's data set is on this machine; else a sentence, and the offer to download it."""
    sentence = DATASETS[plan.dataset].missing_reason()
    if sentence is None:
        return True
    if plan.domain == domain:
        st.info(theme.plain(f"{sentence} The sidebar has the button."))
    else:
        offer_data_set(domains.get(plan.domain), key="fetch_for_training")
    return False


def new_training(domain: str, running: str) -> None:
    """The form, and the button that starts."""
    plan = training_form.settings(domain)
    here = plan is not None and data_is_here(plan, domain)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Start",
            type="primary",
            key="tr_start",
            icon=":material/play_arrow:",
            width=220,
            disabled=plan is None or not here or bool(running),
            shortcut="ctrl+enter",
        )
        if plan is not None:
            name = f"{plan.name}.json"
            st.download_button(
                "Plan (JSON)", plan.to_json(), name, "application/json", key="tr_plan_json", on_click="ignore"
            )
        if running:
            st.caption(
                f"The training {theme.plain(quoted(running))} is running. One runs at a time: wait until it ends, or stop it."
            )
        else:
            st.caption("It runs in a process of its own, and goes on when this page is closed.")
    if pressed and plan is not None and begin(plan):
        training_form.renew_name()
        st.rerun()


domain = session.recipe().domain
head = st.container(key="tr_head")
listed = runs.list_runs()
running = next((run.name for run in listed if run.status.state == "running"), "")
shown = chosen(listed)
if running:
    show_training_progress(running)
with st.expander("A new training", icon=":material/add:", expanded=not shown):
    new_training(domain, running)
session.sync_query_params()
opened = find(shown) if shown else None
if opened is None:
    with head:
        theme.verdict(training_verdict(None))
    if shown:
        st.warning(f"There is no training called {theme.plain(quoted(shown))}.")
    else:
        st.caption("Nothing is shown here yet: choose a plan and press Start. The first curves come within seconds.")
else:
    # While it runs, its parts of the page are drawn again by themselves, for everybody who looks at it.
    growing = fragment(run_every=EVERY if running == shown else None)
    with head:
        growing(headline)(shown)
    if opened.problem:
        st.warning(theme.plain(opened.problem))
    if opened.status.error:
        st.error(theme.plain(opened.status.error))
    show_result(opened)
    with st.container(key="tr_growing"):  # the style sheet keeps it from fading each time
        growing(views)(shown)
    if opened.plan is not None:
        show_figures(opened)
        save_buttons(opened)
st.subheader("Trainings", anchor=False)
training_list(listed, shown)
