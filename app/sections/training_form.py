"""Setting up a training: the plan, what it trains and costs, and its parameters."""

from __future__ import annotations

import hashlib
import inspect
from math import floor, log10
from typing import Any

import streamlit as st

from app.runtime.streamlit_adapter import take_files
from app.text import joined, plural
from app.theme import plain
from core import attacks, domains
from core.inputs import InvalidInput
from core.training import PLANS, TrainingPlan, find_plan
from core.training.data import DATASETS
from core.training.naming import free_name, rename
from core.training.objectives import OBJECTIVES
from core.training.plans import Stage

KINDS = {
    "classifier": "Classifiers",
    "denoiser": "Denoisers",
    "mask_generator": "Attention masks",
    "own": "A plan of yours",
}
MAX_PLAN = 200_000  # bytes of a plan that somebody uploads


def settings(domain: str) -> TrainingPlan | None:
    """What is to be trained; None while something is missing or wrong, with a sentence that says what."""
    template = _choose(domain)
    if template is None:
        return None
    st.write(" ".join(map(plain, about(template))))
    key = f"tr_{hashlib.sha256(template.to_json().encode()).hexdigest()[:12]}"
    named = _name(template, key)
    values = _values(template, key)
    try:
        plan = TrainingPlan(**{**(named or template).model_dump(), **values})
    except InvalidInput as error:
        st.error(plain(str(error)))
        return None
    st.caption(" ".join(map(plain, cost(plan))))
    return plan if named else None


def renew_name() -> None:
    """Offer a new free name at the next run of the page: the one that stands there was taken by a training."""
    st.session_state.tr_renew = True


# Which plan


def _choose(domain: str) -> TrainingPlan | None:
    kind = st.segmented_control(
        "What to train",
        list(KINDS),
        format_func=KINDS.__getitem__,
        default="classifier",
        required=True,
        key="tr_kind",
        wrap=True,
    )
    if kind == "own":
        return _own()
    names = [name for name, values in PLANS.items() if values.get("kind", "classifier") == kind]
    names.sort(key=lambda name: PLANS[name]["domain"] != domain)  # those of the domain first, each part in its order
    name = st.selectbox("Plan", names, format_func=_plan_title, key=f"tr_plan_{kind}_{domain}")
    try:
        return find_plan(name)
    except InvalidInput as error:  # it needs weights that are not here
        st.info(plain(f"This plan cannot be trained here yet. {error}"))
        return None


def _plan_title(name: str) -> str:
    return f"{domains.get(PLANS[name]['domain']).title}: {PLANS[name]['title']}"


def _own() -> TrainingPlan | None:
    st.file_uploader(
        "Plan (JSON)",
        type=["json"],
        key="tr_upload",
        on_change=_uploaded,
        max_upload_size=1,
        help="A file that Plan (JSON) saved here, or one of your own: see Training in docs/extending.md.",
    )
    if sentence := st.session_state.get("tr_own_problem"):
        st.error(plain(sentence))
    text = st.session_state.get("tr_own")
    if text is None:
        st.caption("Upload a plan. It is data alone: names and numbers.")
        return None
    try:
        return TrainingPlan.from_json(text)
    except InvalidInput as error:  # what it names is gone
        st.error(plain(str(error)))
        return None


def _uploaded() -> None:
    """Take over the file; a plan that is refused leaves a sentence."""
    upload = st.session_state["tr_upload"]
    taken = take_files([upload])
    if upload is None or taken:  # else the widget tells again of the file that was taken
        for word in ("tr_own", "tr_own_problem"):
            st.session_state.pop(word, None)
    for file in taken:
        try:
            if len(file.data) > MAX_PLAN:
                raise InvalidInput(
                    f"A plan has at most {MAX_PLAN // 1000} kB; this file has {len(file.data) // 1000} kB."
                )
            st.session_state.tr_own = TrainingPlan.from_json(file.data).to_json()
        except InvalidInput as error:
            st.session_state.tr_own_problem = f"{file.name[:80]}: {error}"


# What it is


def about(plan: TrainingPlan) -> list[str]:
    """What a plan trains, on which data and against which classifier, in sentences."""
    domain, dataset = domains.get(plan.domain), DATASETS[plan.dataset]
    data = f"on {dataset.description}"
    if plan.kind == "classifier":
        lines = [f"Trains a classifier of {domain.title}, with the architecture {plan.architecture}, {data}."]
    else:
        against = domain.classifier_title(plan.trained_against)
        if plan.kind == "denoiser":
            lines = [
                f"Trains a denoiser, with the architecture {plan.architecture}, {data}. It stands before the classifier {against}, "
                "which stays as it is."
            ]
        else:
            form = "fully connected" if plan.architecture == "fc" else "convolutional"
            lines = [
                f"Trains a {form} network that makes attention masks of the classifier {against}, and then one that reads them, "
                f"{data}. The classifier stays as it is."
            ]
    if plan.starts_from:
        lines.append(f"It starts from the weights of {domain.classifier_title(plan.starts_from)}.")
    if plan.judged_by is not None:
        lines.append(
            f"After each epoch {attacks.get(plan.judged_by.name).title} attacks {plan.held_out:,} images that are kept from training; the "
            "best epoch is kept."
        )
    if plan.loss_network:
        lines.append(f"Its losses compare the features of the classifier {plan.loss_network}.")
    if plan.description:
        lines.append(plan.description)
    return lines


def cost(plan: TrainingPlan) -> list[str]:
    """How much there is to compute, in sentences; nothing where the data set is not here or damaged."""
    dataset = DATASETS[plan.dataset]
    try:
        count = 0 if dataset.missing_reason() else dataset.count()
    except InvalidInput as error:
        return [str(error)]
    lines = []
    if plan.crafted:
        names = [attacks.get(attack.name).title for attack in plan.crafted]
        images = f"all {count:,} training images" if count else "all training images"
        lines.append(f"First {joined(names)} {'attack' if len(names) > 1 else 'attacks'} {images} once.")
    epochs = " and ".join(plural(stage.epochs, "epoch") for stage in plan.stages)
    if not count:
        return [*lines, f"It takes {epochs}."]
    steps = sum(stage.epochs * -(-count * stage.repeats_per_epoch // stage.batch) for stage in plan.stages)
    batches = " and ".join(dict.fromkeys(str(stage.batch) for stage in plan.stages))
    return [
        *lines,
        f"It takes {epochs} over {count:,} images: {steps:,} steps of {batches} images. The time that is left is shown once it runs.",
    ]


# Its parameters


def _name(template: TrainingPlan, key: str) -> TrainingPlan | None:
    """The plan under the name in the field; None where that is refused, with the sentence under it."""
    field = f"{key}_name"
    if st.session_state.pop("tr_renew", False) or field not in st.session_state:
        st.session_state[field] = free_name(template)
    name = st.text_input("Name of the result", key=field, max_chars=80, help="The lists of Mirage show it.")
    try:
        return rename(template, name.strip())
    except InvalidInput as error:
        st.error(plain(str(error)))
        return None


def _values(template: TrainingPlan, key: str) -> dict[str, Any]:
    """The fields of the plan that its parameters change."""
    stages = []
    for number, stage in enumerate(template.stages):
        if len(template.stages) > 1:
            st.markdown(f"**Stage {number + 1}: the {plain(stage.trains)}**")
        stages.append(_stage(stage, f"{key}_{number}"))
    seed = st.number_input("seed", 0, 2**31 - 1, template.seed, key=f"{key}_seed", width=220)
    return {"stages": tuple(stages), "seed": int(seed)}


def _stage(stage: Stage, key: str) -> dict[str, Any]:
    values = stage.model_dump()
    with st.grid(4, min_column_width=130):
        values["epochs"] = int(st.number_input("epochs", 1, 10_000, stage.epochs, key=f"{key}_epochs"))
        values["batch"] = int(
            st.number_input("batch", 1, 100_000, stage.batch, key=f"{key}_batch", help="Images in one step.")
        )
        values["max_lr"] = _real(
            "max_lr", stage.max_lr, key, "The learning rate rises to it, and falls to almost zero at the end."
        )
        values["weight_decay"] = _real("weight_decay", stage.weight_decay, key, "How fast the weights shrink.")
    function = OBJECTIVES[stage.objective.name]
    declared = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if not declared:
        return values
    with st.expander(f"Objective: {stage.objective.name.replace('_', ' ')}"):
        st.caption(plain((inspect.getdoc(function) or "").replace("`", ""), 1200))
        params = dict(stage.objective.params)
        with st.grid(4, min_column_width=130):
            for parameter in declared:
                current = params.get(parameter.name, parameter.default)
                value = _param(parameter, current, f"{key}_of")
                if value != current:
                    params[parameter.name] = value
        values["objective"] = {"name": stage.objective.name, "params": params}
    return values


def _param(parameter: inspect.Parameter, value: Any, key: str) -> Any:
    """A field for what the plan gives the parameter, or its default."""
    name = parameter.name
    if isinstance(value, bool):
        return st.toggle(name.replace("_", " "), value, key=f"{key}_{name}")
    if isinstance(value, str):
        return st.text_input(name.replace("_", " "), value, key=f"{key}_{name}", max_chars=80)
    if parameter.annotation in ("int", int) and isinstance(value, int):
        return int(st.number_input(name.replace("_", " "), value=value, key=f"{key}_{name}"))
    return _real(name, value, key, "On the scale of the images, 0 to 1; 8/255 is 0.0314." if name == "eps" else None)


def _real(name: str, value: float, key: str, words: str | None = None) -> float:
    """A field for a number; what stands there exactly as the plan has it is returned so."""
    step = 10.0 ** floor(log10(abs(value))) if value else 0.01
    read = st.number_input(
        name.replace("_", " "),
        value=float(value),
        step=step,
        format="%g",
        key=f"{key}_{name}",
        help=words,
    )
    return value if abs(read - float(value)) <= 1e-9 * abs(value) else float(read)
