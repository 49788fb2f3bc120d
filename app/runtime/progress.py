"""What a screen shows while a job runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import streamlit as st

from app.runtime import background, examples, jobs, recipe_jobs
from app.runtime.jobs import Job
from app.runtime.streamlit_adapter import fragment
from app.sections import attacker
from app.state import result_keys, results, session
from app.state.result_keys import AnyKey, Kind, ResultKey
from app.text import duration, per_cent
from app.theme import crisp_key, plain, verdict
from core import domains
from core.progress import OnProgress
from core.recipe import AttackOutcome, Example, cost


def show_progress(kind: Kind | None, *, image: bool = True) -> bool:
    """Progress and a Stop button, if this user's job computes that kind of result (None: any); True while it runs.

    Without `image`, the image so far is left to `live_preview`, at another place.
    """
    if ended := background.poll_jobs():
        background.ask_rerun()  # it ended between the look for its result and this one
        if any(kind in (None, key.kind) for key in ended):
            return True
    job = background.current_job()
    if job is None or kind not in (None, job.key.kind):
        return False
    _progress("job")
    if image:
        live_preview()
    return True


def show_download(key: AnyKey) -> bool:
    """The same for the download of that key."""
    if ended := background.poll_jobs():
        background.ask_rerun()
        if key in ended:
            return True
    job: Job | None = st.session_state.get("download")
    if job is None or job.key != key:
        return False
    _progress("download")
    return True


def show_unavailable() -> None:
    """What stands in a screen's place while its image or its classifier is not here."""
    sentence = examples.image_error()
    if not sentence:
        return show_missing_classifier()
    verdict("This image cannot be shown.")
    st.error(plain(sentence), icon=":material/image_not_supported:")
    st.write("The recipe keeps it. Choose another image in the sidebar to go on.")
    st.button(
        "Use the first image of the gallery",
        key="first_image",
        icon=":material/image:",
        on_click=lambda: session.update_recipe(image={"fit": session.recipe().image.fit}, target=""),
    )


def show_missing_classifier() -> None:
    """What stands in a screen's place while its classifier is not here."""
    recipe = session.recipe()
    key = result_keys.weights(recipe, examples.missing_classifier())
    if show_download(key):
        return
    st.write("The classifier is not here. Try again, or choose another one in the sidebar.")
    st.button("Try again", key="retry", icon=":material/refresh:", on_click=background.invalidate, args=(key,))


T = TypeVar("T")


def status_text(key: AnyKey, working: str, what: str) -> str:
    """What there is to say of work without a result, or with half of one: `working` while it runs, else why it does not."""
    job = background.current_job()
    if job is not None and job.key == key:
        return working
    blocked = background.blocked(key)
    if blocked in ("asked", "refused"):
        about = f"{what} would take about {duration(background.estimated_seconds(key))}"
        if blocked == "asked":
            return f"{about}."
        return f"{about}; this server runs {duration(cost.most())} at most. Lower the steps, the draws or the number of defenses."
    return f"{what} {'failed' if blocked == 'failed' else 'was stopped' if blocked else 'has not been run'}."


def require_attack(*, known: bool = False) -> tuple[Example, AttackOutcome]:
    """The image and what the recipe's attack makes of it; until they are there, the page shows how far the attack is.

    Args:
        known: take the column that the recipe's attacker knows: the attack is made on that system, which is the example's classifier.
    """
    example = examples.current()
    if example is None:
        show_unavailable()
        st.stop()
    assert example is not None
    recipe = session.recipe()
    session.sync_query_params()
    key = result_keys.known_attack(recipe) if known else result_keys.attack(recipe)
    if results.get(key) is None:
        (attacker.start_attack if known else recipe_jobs.start_attack)(recipe, example)
    attack_outcome = results.get(key)
    if attack_outcome is None:
        verdict(status_text(key, "The attack is running.", "The attack"))
        if not show_progress(Kind.ATTACK):
            retry_button(key)
        st.stop()
    assert attack_outcome is not None
    if attack_outcome.stopped:  # the page says so, and nothing that takes time begins by itself
        retry_button(key)
    system = recipe.build_known_system() if known else None
    if system is not None:
        judge = system.classifier(example.load, recipe.backward, seed=recipe.seed)
        example = replace(
            example, classifier=judge, clean_prediction=attack_outcome.clean_prediction or example.clean_prediction
        )
    return example, attack_outcome


def run_cached(
    key: ResultKey[T], text: str, work: Callable[[OnProgress], T | None], *, seconds: float = 0.0
) -> T | None:
    """What `work` finds, computed once and kept under `key`; None while it runs or after it was stopped, which is shown here.

    Args:
        seconds: about how long it takes; long work waits until the user says so.
    """
    if results.get(key) is None:
        background.start(key, text, work, seconds=seconds)
    result = results.get(key)
    if result is None and not show_progress(key.kind):
        retry_button(key)
    return result


def retry_button(key: AnyKey) -> None:
    """A button that begins what was stopped, failed or waits for the user's word."""
    st.button(
        "Run anyway" if background.blocked(key) == "asked" else "Run",
        key=f"again_{key.kind}",
        type="primary",
        icon=":material/play_arrow:",
        on_click=background.invalidate,
        args=(key,),
        disabled=background.blocked(key) == "refused",
    )


def waiting_text() -> str:
    """What work that has not begun is waiting for."""
    what = jobs.computing()
    return f"Waiting for the device: {plain(what)}" if what else "Waiting for the device: it is next"


@fragment(run_every=0.4)
def _progress(slot: str) -> None:
    job: Job | None = st.session_state.get(slot)
    if job is None or not job.is_alive:
        st.rerun()
    assert job is not None
    if job.state == "queued":
        text = "Waiting for other downloads" if slot == "download" else waiting_text()
    elif not job.done:
        text = f"{job.text}…"
    else:
        left = f", {duration(job.eta)} left" if job.eta is not None else ""
        text = f"{job.text}: {job.done:,} of {job.total:,}{job.unit}{left}"
    # The style sheet pins it to the window's corner: it is in sight wherever the page is scrolled to, and nothing moves for it.
    with st.container(key=f"progress_{slot}", horizontal=True, vertical_alignment="center"):
        st.progress(min(1.0, job.done / max(1, job.total)), text=text)
        label, key = ("Stop", "stop") if slot == "job" else ("Stop the download", "stop_download")
        if st.button(label, key=key, icon=":material/stop:", disabled=job.cancel.is_set()):
            job.cancel.set()


@fragment(run_every=0.4)
def live_preview() -> None:
    """The attack's newest image and what the classifier sees in it, in a place that keeps its size."""
    with st.container(key="live_slot"):
        _show_newest()


def _show_newest() -> None:
    job = background.current_job()
    if job is None or job.frame is None or job.predicted is None:
        return
    with st.container(key=crisp_key("live", job.frame)):
        st.image(job.frame, width=max(200, job.frame.shape[1]), output_format="PNG", alt="The adversarial image so far")
    classes = domains.get(session.recipe().domain).classes
    sees = plain(classes[job.predicted[0]]) if job.predicted[0] < len(classes) else ""
    first = "" if job.first_success is None else f"; fooled first at step {job.first_success:,}"
    st.caption(f"step {job.done:,}: sees {sees} {per_cent(job.predicted[1])}, objective {job.loss:.3g}{first}")
