"""Certificates: what no attack inside a threat model can do to this image and to many, beside the best attack found."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import theme
from app.components.controls import controls
from app.plots.attack_plots import flow_plot
from app.plots.certify_plots import margin_plot
from app.runtime import examples, progress
from app.sections import certified_set
from app.sections.certified_set import Choice
from app.state import result_keys, session
from app.text import budget
from app.verdicts.certify import certify_verdict, promise_text
from core import certify, domains
from core.declaration import Parameter
from core.evaluate.certification import certify_image
from core.inputs import InvalidInput
from core.recipe import Example, Method, Recipe, cost

MARGINS = (
    "A margin above 0 keeps the class. At each budget, the smallest margin lies in the gray gap: not below the best bound, not above the "
    "best attack. Where the bound is above 0, the class is certified; where the attack is below 0, it is lost; elsewhere nobody knows."
)
PROGRAM = "The paper bound solves a semidefinite program to within about 0.1 % of its exact value."


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
    except InvalidInput as error:
        st.error(theme.plain(str(error)))
        return None
    if built != certify.build(name, domain.attack_values(method, params)):
        session.update_view(certificate={"name": name, "params": chosen})
    unit = next((p.unit for p in parameters if p.name == "eps"), "")
    return Choice(Method(name=name, params=values), built, unit)


def hidden(parameter: Parameter) -> bool:
    """Parameters of how it is computed, which change no result that is shown here."""
    return parameter.name in ("find_radius", "batch")


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
current, certificate = example, choice.certificate
key = result_keys.certified_image(recipe, choice.method)
with right:
    result = progress.run_cached(
        key,
        certificate.title,
        lambda on_progress: certify_image(
            certificate, current.classifier, current.images, current.label, seed=recipe.seed, on_progress=on_progress
        ),
        seconds=cost.query_seconds(recipe.domain, choice.samples, example.classifier),
    )
    if result is not None and result.bounds:
        margin_plot(result, choice.unit, key="certify_margin")
        st.caption(MARGINS + (f" {PROGRAM}" if "paper bound" in result.bounds else ""))
    if result is not None and result.flow is not None:
        st.markdown(f"**The attack's flow at {budget(result.flow_budget, choice.unit)}**")
        flow_plot(current.clean, result.flow, key="certify_flow")
with head:
    if result is None:
        theme.verdict(progress.status_text(key, "The certificate is being worked out.", "The certificate"))
    else:
        theme.verdict(
            certify_verdict(
                result,
                bool(choice.samples),
                current.classifier.classes,
                current.label,
                current.label_known,
                choice.unit,
            )
        )
st.write(theme.plain(promise_text(result, certificate, current.classifier.title, current.label, choice.unit)))
st.subheader("On many images", anchor=False)
certified_set.show(recipe, current, choice)
st.caption(
    f"{theme.plain(certificate.title)} on {theme.plain(current.classifier.title)}, seed {recipe.seed}. "
    f"Threat model: {theme.plain(certificate.threat_model)}"
)
