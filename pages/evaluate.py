"""Many pictures: attacks by defenses as a matrix, from whose cells every picture can be reached."""

from functools import partial
from typing import Any

import streamlit as st

from app import evaluations, live, session, theme
from app.cells import cell_view
from app.matrices import columns_of, curves_plot, matrix, times_plot
from app.planning import settings
from app.runs import begin, comparison, progress, runs
from app.tables import markdown, table
from app.words import evaluate_verdict, plural
from core import domains
from core.evaluate import BARE, EXPERIMENTS, Findings, Place, shelf
from core.evaluate import report as reports
from core.evaluate.measures import MEASURES
from core.evaluate.plan import units
from core.inputs import BadInput

WORDS = {"accuracy": "accuracy", "success": "attack success", "recovered": "recovery", "flagged": "detection"}


def _report(name: str) -> str:
    """The whole report, made when it is asked for."""
    with shelf.opened(name) as run:
        return reports.report(Findings(run))


def views(findings: Findings) -> None:
    """The finished, or growing, run."""
    run, plan, domain = findings.run, findings.plan, domains.get(findings.plan.domain)
    names = plan.classifier_names()
    classifier = 0
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
        kinds = [kind for kind in MEASURES if kind != "flagged" or plan.detect]
        measure = st.segmented_control(
            "Measure",
            kinds,
            format_func=WORDS.__getitem__,
            default="accuracy",
            required=True,
            key=f"ev_measure_{plan.name}",
        )
    st.caption(f"{MEASURES[measure]} {theme.plain(reports.heading(findings))}.")
    place = matrix(findings, classifier, measure, key=f"ev_matrix_{plan.name}_{classifier}_{measure}")
    st.caption("Click a cell for its confusion matrix and its pictures.")
    rows = reports.matrix(findings, classifier, measure)
    files: list[tuple[str, Any, str]] = [
        ("CSV", reports.csv(rows), "matrix.csv"),
        ("LaTeX", reports.latex(rows), "matrix.tex"),
        ("Markdown", markdown(rows), "matrix.md"),
        ("Whole report", partial(_report, plan.name), f"{plan.name}.md"),
        ("Plan (JSON)", plan.to_json(), f"{plan.name}.json"),
        ("Results (SQLite)", run.path.read_bytes, run.path.name),
    ]
    with st.container(horizontal=True, key="ev_saves"):
        for title, content, file in files:
            st.download_button(title, content, file, key=f"ev_{file}", on_click="ignore")
    cell, curve, back, times = st.tabs(
        ["Cell", "Accuracy by eps", "Recovered and broken", "Time"], key="ev_tabs", on_change="rerun"
    )
    if cell.open:
        with cell:
            if place is None:
                columns = columns_of(plan, classifier)
                bare = next(c for c in columns if c.defense == BARE)
                place = Place(classifier, len(plan.attacks) - 1, bare.defense, "none") if plan.attacks else bare
            cell_view(findings, place, domain.classes)
    if curve.open:
        with curve:
            if not curves_plot(findings, classifier, key=f"ev_curves_{plan.name}_{classifier}"):
                st.caption("A curve needs an attack at several eps: write them into the field eps, as 2, 4, 8.")
    if back.open:
        with back:
            if plan.attacks and plan.defenses:
                st.caption(
                    f"{MEASURES['recovered']} Breaks: of the clean pictures that were right, those that it makes wrong."
                )
                table(reports.recovery(findings, classifier), key="ev_recovery", name="recovery")
            else:
                st.caption("Recovery needs an attack and a defense.")
    if times.open:
        with times:
            times_plot(findings, classifier, key=f"ev_times_{plan.name}_{classifier}")
            st.caption(f"Measured on the clean pictures, batches of {plan.batch}, {theme.plain(run.device)}.")


scene = session.scene()
if scene is None:
    live.classifier()
    st.stop()
head = st.container()
listed = shelf.listed()
readable = [one.name for one in listed if one.plan is not None]
shown = st.query_params.get("run", "") or next(iter(readable), "")
with st.expander("A new evaluation", icon=":material/add:", expanded=not shown):
    plan = settings(session.recipe())
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
            parts = plural(sum(1 for _ in units(plan)), "part")
            st.caption(f"{parts}, each kept as soon as it is done; a run that is stopped goes on where it was.")
    if pressed and plan is not None:
        begin(plan)
session.mirror()
at = evaluations.running(shown) if shown else None
busy = at is not None and not at.finished.is_set()
if busy:
    progress(shown)
elif at is not None and at.error:
    st.error(at.error)
try:
    run = shelf.opened(shown) if shown else None
except BadInput as error:
    st.warning(str(error))
    run = None
if run is None:
    with head:
        theme.verdict("Choose attacks and defenses, and see what they do to many pictures.")
    st.caption("Nothing is shown here yet: press Run. The first numbers come within seconds.")
else:
    with run:
        findings = Findings(run)
        with head:
            theme.verdict(evaluate_verdict(findings))
        if run.progress()[0]:
            views(findings)
st.subheader("Runs", anchor=False)
runs(listed, shown)
if run is not None:
    with st.expander("Compare two runs"):
        comparison(shown, listed)
with st.expander("The papers' tables"):
    st.caption("Each by one command; the numbers of this machine's own runs appear above as they grow.")
    st.code(
        "\n".join(f"python -m core evaluate {name}   # {one.title}" for name, one in EXPERIMENTS.items()),
        language="bash",
    )
