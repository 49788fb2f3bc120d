"""Certified accuracy on images of the data set, of one classifier or of two beside each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from app import theme
from app.components.tables import Row, table
from app.plots.certify_plots import certified_accuracy_plot
from app.runtime import background, progress
from app.state import result_keys, results
from app.state.result_keys import Kind, ResultKey, classifier_name, device_name
from app.text import duration
from app.verdicts.certify import certified_set_verdict
from core import domains
from core.certify import Certificate
from core.evaluate.certification import CertifiedSet, certify_set
from core.evaluate.certification_report import set_rows
from core.progress import OnProgress, Progress
from core.recipe import Example, Method, Recipe, cost

MOST = 1000


@dataclass(frozen=True)
class Choice:
    """The certificate as it is set, and the unit in which its budget is written."""

    method: Method
    certificate: Certificate
    unit: str

    @property
    def samples(self) -> int:
        """Noisy copies of each image; 0 for a certificate that draws none."""
        return int(self.certificate.values().get("samples", 0))


def show(recipe: Recipe, example: Example, choice: Choice) -> None:
    """Certified accuracy of the recipe's classifier, and of another one beside it."""
    domain = domains.get(recipe.domain)
    if not domain.splits():
        st.info(theme.plain(domain.missing_reason() or "This domain has no data set to certify images of."))
        return
    split = "test" if "test" in domain.splits() else domain.splits()[0]
    most = min(MOST, domain.count(split))
    own = example.classifier.name
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = int(st.number_input("Images", 2, most, min(20, most), 1, key=f"certify_count_{domain.name}", width=160))
        other = st.selectbox(
            "Beside",
            ["", *_others_that_fit(domain, example, choice.certificate)],
            format_func=lambda name: domain.classifier_title(name) if name else "none",
            key=f"certify_beside_{domain.name}_{own}_{choice.method.name}",
            help="Another classifier, whose curves are drawn into the same plot.",
            width=320,
        )
        pressed = st.button(f"Certify {count} images", type="primary", icon=":material/play_arrow:", key="certify_run")
    seconds = cost.query_seconds(recipe.domain, choice.samples * count, example.classifier)
    if cost.on_device(seconds, device_name()) > cost.ASK:
        st.caption(f"This takes about {duration(cost.on_device(seconds, device_name()))} for each classifier.")
    recipes = {own: recipe, **({other: recipe.replace(classifier=other)} if other else {})}
    keys = {name: result_keys.certified_set(variant, choice.method, count, split) for name, variant in recipes.items()}
    if pressed:
        st.session_state.certify_asked = tuple(keys.values())
        for key in keys.values():
            background.invalidate(key)
    certified_sets: dict[str, CertifiedSet] = {}
    for name, key in keys.items():
        if results.get(key) is None and key in st.session_state.get("certify_asked", ()):
            _start(recipes[name], choice, example, count, split, seconds)
        result = results.get(key)
        if result is None:
            break  # one job at a time
        certified_sets[domain.classifier_title(name)] = result
    _report(keys, domain)
    if certified_sets:
        _draw(certified_sets, choice.unit)
        attacks = next(iter(certified_sets.values())).attacks
        st.caption(
            f"{count} images of the {split} part, seed {recipe.seed}. 95 % intervals (Wilson). "
            + (f"Attacks: {attacks}." if attacks else "No attack of this threat model is tried here.")
        )


def _others_that_fit(domain: domains.Domain, example: Example, certificate: Certificate) -> list[str]:
    """The domain's other classifiers on this machine that have the form which the certificate needs; looked up once."""
    place = f"certify_fits_{domain.name}_{certificate.name}"
    if place not in st.session_state:
        here = (name for name in domain.classifier_names() if domain.is_local(name))
        st.session_state[place] = [name for name in here if certificate.fits(example.load(name)) is None]
    return [name for name in st.session_state[place] if name != example.classifier.name]


def _start(recipe: Recipe, choice: Choice, example: Example, count: int, split: str, seconds: float) -> None:
    """Begin to certify that many images with that recipe's classifier."""
    key = result_keys.certified_set(recipe, choice.method, count, split)
    own, load, domain = example.classifier, example.load, domains.get(recipe.domain)
    name = classifier_name(recipe)
    title = domain.classifier_title(name)

    def work(on_progress: OnProgress) -> CertifiedSet | None:
        def named(part: Progress) -> bool | None:
            return on_progress(replace(part, text=f"{title}: {part.text}"))

        images, labels = domain.sample(count, split=split, seed=recipe.seed)
        classifier = own if name == own.name else load(name)
        return certify_set(choice.certificate, classifier, images, labels, seed=recipe.seed, on_progress=named)

    background.start(key, f"{title}: {choice.certificate.title}", work, seconds=seconds)


def _report(keys: dict[str, ResultKey[CertifiedSet]], domain: domains.Domain) -> None:
    """How far the work is, or why a classifier has no result, with a button that begins it again."""
    if progress.show_progress(Kind.CERTIFIED_SET):
        return
    for name, key in keys.items():
        if results.get(key) is None and background.blocked(key):
            st.write(theme.plain(progress.status_text(key, "", f"The certificate of {domain.classifier_title(name)}")))
            progress.retry_button(key)
            return


def _draw(certified_sets: dict[str, CertifiedSet], unit: str) -> None:
    """Sentences, plot and table of the classifiers that are done, by their titles."""
    for title, result in certified_sets.items():
        text = certified_set_verdict(result, unit, tuple(certified_sets.values()))
        st.write(theme.plain(f"{title}: {text}" if len(certified_sets) > 1 else text))
    certified_accuracy_plot(certified_sets, unit, key="certify_set")
    rows: list[Row] = []
    for title, result in certified_sets.items():
        whose: Row = {"classifier": title} if len(certified_sets) > 1 else {}
        rows += [{**whose, **row} for row in set_rows(result, unit)]
    table(rows, key="certify_table", name="certified")
