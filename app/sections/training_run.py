"""One training: how far it is, its curves and sample images, and where its result is used."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app import theme
from app.components.tables import Row, table
from app.plots.training_plots import curves_plots, samples_view
from app.runtime.streamlit_adapter import fragment
from app.state import owner, session
from app.text import duration
from app.verdicts.models import metric_value
from app.verdicts.training import training_verdict
from core.inputs import InvalidInput
from core.models import artifacts
from core.models.cards import Card
from core.recipe import Method, Recipe
from core.training import TrainingPlan, runs
from core.training.judging import overfitting
from core.training.learning_curves import curves_table, learning_curves
from core.training.naming import defense_of
from core.training.runs import TrainingRun

NOT_YOURS = "This training was started in another browser, which alone can stop it, resume it or delete it."


def find(name: str) -> TrainingRun | None:
    """The run of that name as it is now; None where there is none any more."""
    try:
        return runs.find_run(name)
    except InvalidInput:
        return None


@fragment(run_every=1.0)
def show_training_progress(name: str) -> None:
    """How far the run is, how long still, and Stop."""
    run = find(name)
    if run is None or run.status.state != "running":
        st.rerun()  # it ended: the page shows what came of it
    assert run is not None
    status, stopping = run.status, runs.is_stopping(run)
    text = theme.plain(status.text or "starting")
    if status.steps:
        text += f": {status.step:,} of {status.steps:,} {_unit(run)}"
    if status.seconds_left is not None and not stopping:
        text += f", {duration(status.seconds_left)} left"
    with st.container(key="progress_training"):
        share = status.step / status.steps if status.steps else 0.0
        st.progress(min(1.0, max(0.0, share)), text=f"Stopping: {text}" if stopping else text)
        mine = owner.may_manage(run.owner)
        st.button(
            "Stop",
            key="stop",
            icon=":material/stop:",
            disabled=stopping or not mine,
            help=None if mine else NOT_YOURS,
            on_click=stop,
            args=(name,),
        )


def stop(name: str) -> None:
    """Ask the run to stop; what is refused gets a sentence."""
    try:
        if not owner.may_manage(runs.find_run(name).owner):
            raise InvalidInput(NOT_YOURS)
        runs.stop(name)
    except InvalidInput as error:
        session.report_error(str(error))


def _unit(run: TrainingRun) -> str:
    return "images" if run.status.text.startswith("crafting") else "steps"


def headline(name: str) -> None:
    """The run in one sentence."""
    run = find(name)
    result_card = card(run.plan) if run is not None and run.plan is not None and run.status.state == "done" else None
    first = result_card.metrics[0] if result_card is not None and result_card.metrics else None
    theme.verdict(training_verdict(run, f"{first.what} {first.text}" if first is not None else ""))


def views(name: str) -> None:
    """Its sample images and its curves, as far as they are."""
    run = find(name)
    if run is None or run.plan is None:
        return
    shown = runs.samples(run)
    if shown:
        samples_view(shown, key=f"tr_sample_{run.name}")
        since = ", after the last whole epoch" if len(shown) > 1 else ""
        st.caption(f"The first images of the training part{since}.")
    if warning := overfitting(runs.curves(run)):
        st.warning(theme.plain(warning))
    lines = learning_curves(run)
    if lines:
        curves_plots(lines, [stage.trains for stage in run.plan.stages], key=f"tr_curve_{run.name}")
    elif run.status.state == "running":
        st.caption("The curves begin after the first ten steps.")
    if not shown and not lines and run.status.state != "running":
        st.caption("This training ended before its first step was recorded.")


def show_result(run: TrainingRun) -> None:
    """Where what a run made is used, once it is done."""
    plan = run.plan
    if plan is None or run.status.state != "done":
        return
    if card(plan) is None:
        st.warning("What this training made is gone: there is no such artifact any more.")
        return
    lists, label, page, recipe = _use(plan)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/check: It is in the list of {lists} now.", width="content")
        st.page_link(
            f"pages/{page}.py", label=label, icon=":material/arrow_forward:", query_params={"recipe": recipe.to_link()}
        )


def show_figures(run: TrainingRun) -> None:
    """What the card of the result says of how good it is."""
    result_card = None if run.plan is None or run.status.state != "done" else card(run.plan)
    if result_card is not None and result_card.metrics:
        rows: list[Row] = [{"measured": metric.what, "value": metric_value(metric)} for metric in result_card.metrics]
        table(rows, key="tr_card", name=run.name)


def _use(plan: TrainingPlan) -> tuple[str, str, str, Recipe]:
    """The list that has what the plan makes, and the words, page and recipe of a link that uses it."""
    if plan.kind == "classifier":
        name = plan.artifact.removeprefix(f"{plan.domain}_")
        return "classifiers", "Defend it", "defend", Recipe(domain=plan.domain, classifier=name)
    at = Recipe(domain=plan.domain, classifier=plan.trained_against, defenses=())
    if plan.kind == "mask_generator":
        return "attention masks", "See its masks", "masks", at
    defense = defense_of(plan.artifact)
    if not defense:
        return "denoisers", "Defend", "defend", at
    method = Method(name=defense, params={"weights": plan.artifact.removeprefix(f"{defense}_")})
    return "defenses", "Defend with it", "defend", at.replace(defenses=((method,),))


def card(plan: TrainingPlan) -> Card | None:
    """The card of what the plan made; None where there is none."""
    try:
        return artifacts.find_artifact(plan.kind, plan.artifact).card
    except InvalidInput:
        return None


def save_buttons(run: TrainingRun) -> None:
    """The run's plan and curves as files."""
    assert run.plan is not None
    with st.container(horizontal=True, key="tr_saves"):
        st.download_button(
            "Plan (JSON)", run.plan.to_json(), f"{run.name}.json", "application/json", key="tr_json", on_click="ignore"
        )
        st.download_button(
            "Curves (CSV)", partial(curves_table, run), f"{run.name}.csv", "text/csv", key="tr_csv", on_click="ignore"
        )
