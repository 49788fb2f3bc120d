"""Certificates: what no attack inside a threat model can do to this image and to many, beside the best attack found."""

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import theme
from app.components.controls import controls
from app.components.tables import Row, table
from app.plots.attack_plots import flow_plot
from app.plots.certify_plots import certified_accuracy_plot, margin_plot
from app.runtime import background, examples, progress
from app.state import result_keys, results, session
from app.state.result_keys import Kind, ResultKey
from app.text import budget
from app.verdicts.certify import certified_set_verdict, certify_verdict
from core import certify, domains
from core.certify import Certificate
from core.declaration import Parameter
from core.evaluate.certification import CertifiedSet, certify_image, certify_set
from core.inputs import BadInput
from core.recipe import Example, Method, Recipe, cost

MOST = 1000
PROGRAM = "The paper bound solves a semidefinite program to within about 0.1 % of its exact value."


@dataclass(frozen=True)
class Choice:
    """The certificate as it is set, and the unit in which its budget is written."""

    method: Method
    certificate: Certificate
    unit: str

    @property
    def smoothed(self) -> bool:
        return "sigma" in self.certificate.values()


def certificate_form(recipe: Recipe, example: Example, side: DeltaGenerator) -> Choice | None:
    """The certificate, and its parameters beside the plot; None where the classifier lacks the form that it needs, which is said."""
    names = certify.names()
    reasons = {name: certify.get(name).fits(example.classifier) for name in names}
    fitting = [name for name in names if reasons[name] is None]
    own = recipe.view.certificate
    name = own.name if own is not None else (fitting or list(names))[0]
    key = f"certificate_{recipe.domain}_{example.classifier.name}"
    session.set_widget(key, name)
    st.segmented_control(
        "Certificate",
        names,
        format_func=lambda word: certify.get(word).title,
        default=name,
        required=True,
        key=key,
        on_change=lambda: session.update_view(certificate={"name": st.session_state[key]}),
    )
    method = certify.get(name)
    st.caption(theme.plain(f"{method.summary} {method.paper}."))
    reason = reasons[name]
    if reason is not None:
        st.error(theme.plain(reason), icon=":material/block:")
        return None
    domain = domains.get(recipe.domain)
    parameters = tuple(p for p in domain.attack_parameters(method) if not hidden(p))
    params = own.params if own is not None and own.name == name else {}
    with side:
        chosen = controls(method, params, key=f"certify_{recipe.domain}", parameters=parameters)
    values = domain.attack_values(method, chosen)
    try:
        built = certify.build(name, values)
    except BadInput as error:
        st.error(theme.plain(str(error)))
        return None
    if built != certify.build(name, domain.attack_values(method, params)):
        session.update_view(certificate={"name": name, "params": chosen})
    unit = next((p.unit for p in parameters if p.name == "eps"), "")
    return Choice(Method(name=name, params=values), built, unit)


def hidden(parameter: Parameter) -> bool:
    """Parameters of how it is computed, which change no result that is shown here."""
    return parameter.name in ("find_radius", "batch")


def promised(choice: Choice, example: Example) -> None:
    """What is promised and what is not."""
    certificate = choice.certificate
    text = f"Promised: no change inside the threat model takes the class away. {certificate.threat_model} "
    if choice.smoothed:
        alpha = certificate.values().get("alpha", 0.001)
        text += (
            f"The promise is about the smoothed classifier, the likeliest class under noise, not about {example.classifier.title} without "
            f"noise; it is wrong for an image with a probability of at most {alpha:g}. "
        )
    else:
        text += "It holds for the network in exact arithmetic. "
    text += (
        "Not promised: anything about other changes, such as a patch, a rotation or a larger budget, or that the class is the true one. "
        "An image that is not certified need not be attackable: in the gap between the bound and the best attack nothing is known."
    )
    st.write(theme.plain(text))


def others_that_fit(domain: domains.Domain, example: Example, certificate: Certificate) -> list[str]:
    """The domain's other classifiers on this machine that have the form which the certificate needs; looked up once."""
    place = f"certify_fits_{domain.name}_{certificate.name}"
    if place not in st.session_state:
        here = (name for name in domain.classifier_names() if domain.is_local(name))
        st.session_state[place] = [name for name in here if certificate.fits(example.load(name)) is None]
    return [name for name in st.session_state[place] if name != example.classifier.name]


def many(recipe: Recipe, example: Example, choice: Choice) -> None:
    """Certified accuracy on images of the data set, of this classifier and of another one beside it."""
    domain = domains.get(recipe.domain)
    if not domain.splits():
        st.info(theme.plain(domain.missing() or "This domain has no data set to certify images of."))
        return
    split = "test" if "test" in domain.splits() else domain.splits()[0]
    most = min(MOST, domain.count(split))
    own = example.classifier.name
    others = others_that_fit(domain, example, choice.certificate)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = int(st.number_input("Images", 2, most, min(20, most), 1, key=f"certify_count_{domain.name}", width=160))
        other = st.selectbox(
            "Beside",
            ["", *others],
            format_func=lambda name: domain.classifier_title(name) if name else "none",
            key=f"certify_beside_{domain.name}_{own}_{choice.method.name}",
            help="Another classifier, whose curves are drawn into the same plot.",
            width=320,
        )
        pressed = st.button(f"Certify {count} images", type="primary", icon=":material/play_arrow:", key="certify_run")
    found: dict[str, CertifiedSet] = {}
    for name in (own, other) if other else (own,):
        of = recipe if name == own else recipe.but(classifier=name)
        key = result_keys.certified_set(of, choice.method, count, split)
        if pressed:
            background.invalidate(key)
        if (pressed and name == own) or (results.get(key) is None and len(found) == 1):
            start_set(key, choice, example, name, count, split, recipe.seed)
        result = results.get(key)
        if result is None:
            break
        found[domain.classifier_title(name)] = result
    if progress.show_progress(Kind.CERTIFIED_SET) or not found:
        return
    for title, result in found.items():
        text = certified_set_verdict(result, choice.unit)
        st.write(theme.plain(f"{title}: {text}" if len(found) > 1 else text))
    certified_accuracy_plot(found, choice.unit, key="certify_set")
    table(set_rows(found, choice.unit), key="certify_table", name="certified")
    attacks = next(iter(found.values())).attacks
    st.caption(
        f"{count} images of {split!r}, seed {recipe.seed}. 95 % intervals (Wilson). "
        + (f"Attacks: {attacks}." if attacks else "")
    )


def start_set(
    key: ResultKey[CertifiedSet], choice: Choice, example: Example, name: str, count: int, split: str, seed: int
) -> None:
    """Begin to certify that many images with the classifier of that name."""
    own, load, domain = example.classifier, example.load, domains.get(example.classifier.domain)

    def work(watch: progress.Reports) -> CertifiedSet | None:
        images, labels = domain.sample(count, split=split, seed=seed)
        classifier = own if name == own.name else load(name)
        return certify_set(choice.certificate, classifier, images, labels, seed=seed, on_progress=watch)

    title = domain.classifier_title(name)
    background.start(key, f"{choice.certificate.title} of {title} on {count} images", work)


def set_rows(found: dict[str, CertifiedSet], unit: str) -> list[Row]:
    """A row for each budget of each classifier."""
    rows: list[Row] = []
    for title, result in found.items():
        for number, (eps, share) in enumerate(zip(result.budgets, result.certified, strict=True)):
            row: Row = {"classifier": title} if len(found) > 1 else {}
            attacked = str(result.attacked[number]) if result.attacked else "–"
            rows.append({**row, "ε": budget(float(eps), unit), "certified": str(share), "under attack": attacked})
    return rows


example = examples.current()
if example is None:
    progress.show_unavailable()
    st.stop()
assert example is not None
recipe = session.recipe()
head = st.container()
top = st.container()
left, right = st.columns([1, 2.4], gap="large")
with top:
    choice = certificate_form(recipe, example, left)
if choice is None:
    with head:
        theme.verdict(f"This certificate is not for {example.classifier.title}.")
    st.stop()
assert choice is not None
recipe = session.recipe()
session.sync_query_params()
scene, certificate = example, choice.certificate
key = result_keys.certified_image(recipe, choice.method)
with right:
    result = progress.run_cached(
        key,
        certificate.title,
        lambda watch: certify_image(
            certificate, scene.classifier, scene.images, scene.label, seed=recipe.seed, on_progress=watch
        ),
        seconds=cost.query_seconds(recipe.domain, int(certificate.values().get("samples", 0))),
    )
    if result is not None and result.bounds:
        margin_plot(result, choice.unit, key="certify_margin")
        st.caption(
            "A margin above 0 keeps the class. Between the bound and the best attack lies what nobody knows: the gap."
            + (f" {PROGRAM}" if "paper bound" in result.bounds else "")
        )
    if result is not None and result.flow is not None:
        st.markdown(f"**The attack's flow at {budget(result.flow_budget, choice.unit)}**")
        flow_plot(scene.clean, result.flow, key="certify_flow")
with head:
    if result is None:
        theme.verdict(progress.status_text(key, "The certificate is being worked out.", "The certificate"))
    else:
        theme.verdict(
            certify_verdict(
                result, choice.smoothed, scene.classifier.classes, scene.label, scene.label_known, choice.unit
            )
        )
promised(choice, scene)
st.subheader("On many images", anchor=False)
many(recipe, scene, choice)
st.caption(
    f"{theme.plain(certificate.title)} on {theme.plain(scene.classifier.title)}, seed {recipe.seed}. "
    f"Threat model: {theme.plain(certificate.threat_model)}"
)
