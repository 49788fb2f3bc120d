"""Many images: attacks by defenses as a matrix, from whose cells every image can be reached."""

from functools import partial
from typing import Any

import streamlit as st

from app import theme
from app.components.tables import markdown, table
from app.plots.evaluation_plots import curves_plot, matrix_columns, results_matrix, times_plot
from app.runtime import evaluation_jobs, examples, progress
from app.runtime.streamlit_adapter import fragment
from app.sections.evaluation_cell import cell_view
from app.sections.evaluation_form import eps_example, evaluation_form
from app.sections.run_list import compare_runs, run_list, selected_run, show_run_progress, start_run
from app.state import session
from app.text import plural
from app.verdicts.evaluate import evaluate_verdict
from core import domains
from core.evaluate import NO_DEFENSE, CellKey, Metrics, Plan, run_index
from core.evaluate import report as reports
from core.evaluate.metrics import MEASURES, Measure
from core.evaluate.tasks import task_count
from core.inputs import InvalidInput
from core.reproduce import TABLES

WORDS = {"accuracy": "accuracy", "success": "attack success", "recovered": "recovery", "flagged": "detection"}
EVERY = 2.0  # seconds between two looks at a run that is at work


def _report(name: str) -> str:
    """The whole report, made when it is asked for."""
    try:
        with run_index.open_run(name) as run:
            return reports.report(Metrics(run))
    except InvalidInput as error:
        return f"{error}\n"


def _file(name: str) -> bytes:
    """The run's file as it is when it is asked for."""
    try:
        with run_index.open_run(name) as run:
            return run.database.content()
    except InvalidInput as error:
        return f"{error}\n".encode()


def choices(plan: Plan) -> tuple[int, Measure, int]:
    """Which of the plan's classifiers, which measure, and whose flags it counts."""
    names, domain = plan.classifier_names(), domains.get(plan.domain)
    classifier = detector = 0
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(names) > 1:
            classifier = st.segmented_control(
                "Classifier",
                list(range(len(names))),
                format_func=lambda n: domain.classifier_title(names[n]),
                default=0,
                required=True,
                key=f"ev_which_{plan.name}",
            )
        measure: Measure = st.segmented_control(
            "Measure",
            [kind for kind in MEASURES if kind != "flagged" or plan.detectors],
            format_func=WORDS.__getitem__,
            default="accuracy",
            required=True,
            key=f"ev_measure_{plan.name}",
        )
        if measure == "flagged" and len(plan.detectors) > 1:
            detector = st.segmented_control(
                "Detector",
                list(range(len(plan.detectors))),
                format_func=plan.detector_title,
                default=0,
                required=True,
                key=f"ev_detector_{plan.name}",
            )
    return classifier, measure, detector


def headline(name: str, classifier: int, busy: bool) -> None:
    """The run in one sentence."""
    try:
        with run_index.open_run(name) as run:
            theme.verdict(evaluate_verdict(Metrics(run), classifier, busy))
    except InvalidInput:
        theme.verdict("This run cannot be shown.")


def views(name: str, classifier: int, measure: Measure, detector: int) -> None:
    """The finished, or growing, run."""
    try:
        with run_index.open_run(name) as run:
            _views(Metrics(run), classifier, measure, detector)
    except InvalidInput as error:
        st.warning(theme.plain(str(error)))


def _views(findings: Metrics, classifier: int, measure: Measure, detector: int) -> None:
    run, plan, domain = findings.run, findings.plan, domains.get(findings.plan.domain)
    st.caption(f"{MEASURES[measure]} {theme.plain(reports.heading(findings))}.")
    place = results_matrix(findings, classifier, measure, key=f"ev_matrix_{plan.name}_{classifier}_{measure}")
    st.caption("Click a cell for its confusion matrix and its images.")
    rows = reports.matrix(findings, classifier, measure)
    name = f"{plan.name}-{plan.classifier_names()[classifier]}"  # of the files
    files: list[tuple[str, Any, str]] = [
        ("CSV", reports.csv(rows), f"{name}-{measure}.csv"),
        ("LaTeX", reports.latex(rows), f"{name}-{measure}.tex"),
        ("Markdown", markdown(rows), f"{name}-{measure}.md"),
        ("Whole report", partial(_report, run.path.stem), f"{plan.name}.md"),
        ("Plan (JSON)", plan.to_json(), f"{plan.name}.json"),
        ("Results (SQLite)", partial(_file, run.path.stem), f"{plan.name}.sqlite"),
    ]
    with st.container(horizontal=True, key="ev_saves"):
        for title, content, file in files:
            st.download_button(title, content, file, key=f"ev_{file}", on_click="ignore")
    cell, curve, back, certified, times = st.tabs(
        ["Cell", "Accuracy by eps", "Recovered and broken", "Certified", "Time"],
        key="ev_tabs",
        on_change="rerun",
        bind="query-params",
    )
    if cell.open:
        with cell:
            if place is None:
                columns = matrix_columns(plan, classifier)
                bare = next(c for c in columns if c.defense == NO_DEFENSE)
                place = CellKey(classifier, len(plan.attacks) - 1, bare.defense, "none") if plan.attacks else bare
            cell_view(findings, place, domain.classes)
    if curve.open:
        with curve:
            if not curves_plot(findings, classifier, key=f"ev_curves_{plan.name}_{classifier}"):
                st.caption(
                    "A curve needs an attack at several eps: write them into the field eps of a new evaluation, as "
                    f"{eps_example(plan.domain)}."
                )
    if back.open:
        with back:
            if plan.attacks and plan.defenses:
                st.caption(
                    f"{MEASURES['recovered']} Breaks: of the clean images that were right, those that it makes wrong."
                )
                table(reports.recovery(findings, classifier), key="ev_recovery", name=f"{name}-recovery")
            else:
                st.caption("Recovery needs an attack and a defense.")
    if certified.open:
        with certified:
            if plan.certificates:
                st.caption(f"{reports.CERTIFIED} {theme.plain(reports.threat_models(plan))}")
                table(reports.certificates(findings, classifier), key="ev_certified", name=f"{name}-certified")
                for sentence in reports.refusals(findings, classifier):
                    st.caption(theme.plain(sentence))
            else:
                st.caption("This run has no certificates; choose them in a new evaluation.")
    if times.open:
        with times:
            times_plot(findings, classifier, key=f"ev_times_{plan.name}_{classifier}")
            st.caption(f"Measured on the clean images, batches of {plan.batch}, {theme.plain(run.device)}.")


example = examples.current()
if example is None:
    progress.show_missing_classifier()
    st.stop()
domain = session.recipe().domain
head = st.container(key="ev_head")
listed = run_index.list_runs()
shown = selected_run(listed, domain)
with st.expander("A new evaluation", icon=":material/add:", expanded=not shown):
    plan = evaluation_form(session.recipe())
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Run",
            type="primary",
            key="ev_run",
            icon=":material/play_arrow:",
            width=220,
            disabled=plan is None,
            shortcut="ctrl+enter",
        )
        if plan is not None:
            parts = plural(task_count(plan), "part")
            st.caption(f"{parts}, each kept as soon as it is done; a run that is stopped goes on where it was.")
    if pressed and plan is not None:
        start_run(plan)
session.sync_query_params()
at = evaluation_jobs.find(shown) if shown else None
busy = at is not None and at.is_alive
if busy:
    show_run_progress(shown)
elif at is not None and at.error:
    st.error(theme.plain(at.error))
try:
    with run_index.open_run(shown) as run:
        opened: Plan | None = run.plan
except InvalidInput as error:
    opened = None
    if shown:
        st.warning(theme.plain(str(error)))
if opened is None:
    with head:
        theme.verdict("Choose attacks and defenses, and see what they do to many images.")
    st.caption("Nothing is shown here yet: press Run. The first numbers come within seconds.")
else:
    if opened.domain != domain:
        its, here = domains.get(opened.domain).title, domains.get(domain).title
        st.info(f"This run is of {its}; the sidebar stands at {here}, and a new evaluation is of {here}.")
    classifier, measure, detector = choices(opened)
    # While the run is at work, its parts of the page are drawn again by themselves, for everybody who looks at it.
    growing = fragment(run_every=EVERY if busy else None)
    with head:
        growing(headline)(shown, classifier, busy)
    with st.container(key="ev_growing"):  # the style sheet keeps it from fading each time
        growing(views)(shown, classifier, measure, detector)
st.subheader("Runs", anchor=False)
run_list(listed, shown, domain)
if opened is not None:
    with st.expander("Compare two runs"):
        compare_runs(shown, listed)
with st.expander("The papers' tables"):
    st.caption("Each by one command; the numbers of this machine's own runs appear above as they grow.")
    st.code(
        "\n".join(f"python -m core evaluate {name}   # {table.title}" for name, table in TABLES.items()),
        language="bash",
    )
