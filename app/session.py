"""One visitor's work: the recipe, mirrored into the address, and what was computed for it."""

from __future__ import annotations

import gc
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from app import jobs
from app.jobs import Job
from core import device, domains, images
from core.inputs import BadInput
from core.models.classifier import Classifier
from core.recipe import Attacked, Column, Progress, Recipe, Scene, defend, fool, prepare
from core.recipe.recipe import Attacker

Pixels = npt.NDArray[np.uint8]
KEPT = 24  # results a visitor keeps; the oldest goes first


# The recipe


def recipe() -> Recipe:
    """The visitor's recipe: what this session holds, else what the link says, else the default."""
    if "recipe" not in st.session_state:
        st.session_state.recipe = Recipe()
        word = st.query_params.get("recipe")
        if word:
            try:
                st.session_state.recipe = Recipe.from_link(word)
            except BadInput as error:
                st.session_state.complaint = f"{error} Mirage shows its first example instead."
    held: Recipe = st.session_state.recipe
    return held


def change(**changes: Any) -> None:
    """Change some fields of the recipe; an impossible change is told and leaves everything as it was."""
    st.session_state.pop("complaint", None)
    try:
        st.session_state.recipe = recipe().but(**changes)
    except BadInput as error:
        st.session_state.complaint = str(error)


def mirror() -> None:
    """Write the recipe into the address, so that a reload, a bookmark and a shared link come back to it."""
    word = recipe().to_link()
    if st.query_params.get("recipe") != word and recipe() != Recipe():
        st.query_params["recipe"] = word
    elif recipe() == Recipe() and "recipe" in st.query_params:
        del st.query_params["recipe"]


def complaint() -> None:
    """Show what could not be done, until the visitor does something else."""
    text = st.session_state.get("complaint")
    if text:
        st.warning(text, icon=":material/info:")


# What visitors bring


class Uploads:
    """The newest pictures that visitors brought, by the SHA-256 of their files; shared, so that a reload finds them."""

    def __init__(self, most: int = 32, pixels: int = 200_000_000) -> None:
        self.most, self.pixels = most, pixels
        self.kept: OrderedDict[str, Pixels] = OrderedDict()
        self.lock = threading.Lock()

    def add(self, data: bytes) -> str:
        """Decode a file and keep its picture; its digest.

        Raises:
            BadInput: it is no picture that Mirage takes.
        """
        pixels = images.decode(data)
        digest = hashlib.sha256(data).hexdigest()
        with self.lock:
            self.kept[digest] = pixels
            self.kept.move_to_end(digest)
            while len(self.kept) > self.most or (
                len(self.kept) > 1 and sum(p.size for p in self.kept.values()) > 3 * self.pixels
            ):
                self.kept.popitem(last=False)
        return digest


@st.cache_resource(show_spinner=False)
def uploads() -> Uploads:
    return Uploads()


# What was computed


@st.cache_resource(show_spinner="Loading the classifier…", max_entries=4)
def _classifier(domain: str, name: str, place: str, root: str) -> Classifier:
    loaded = domains.get(domain).classifier(name or None, device=place)
    gc.collect()
    gc.freeze()  # what is loaded now stays: later collections need not walk through all of torch
    return loaded


def place() -> str:
    """The device that computes."""
    return str(st.session_state.get("device", device.names()[0]))


def needs_download(wanted: Recipe) -> bool:
    """Whether the recipe's classifier has to be fetched first."""
    return wanted.domain == "imagenet" and ("fetched", wanted.classifier) not in st.session_state


def scene() -> Scene | None:
    """The picture and the classifier of the recipe; None, with a sentence on the screen, where they are not to be had."""
    wanted = recipe()
    key = _key("scene", wanted)
    if key not in results():
        try:
            name = wanted.classifier or domains.get(wanted.domain).classifier_names()[0]
            loaded = _classifier(wanted.domain, name, place(), str(domains.data_root()))
            keep(key, prepare(wanted, classifier=loaded, uploads=uploads().kept))
        except BadInput as error:
            st.error(str(error), icon=":material/error:")
            return None
    held: Scene = results()[key]
    return held


def results() -> OrderedDict[str, Any]:
    held: OrderedDict[str, Any] = st.session_state.setdefault("results", OrderedDict())
    return held


def keep(key: str, result: Any) -> None:
    results()[key] = result
    results().move_to_end(key)
    while len(results()) > KEPT:
        results().popitem(last=False)


def _key(what: str, wanted: Recipe, attacker: Attacker | None = None) -> str:
    fields = {
        "scene": {"domain", "classifier", "picture"},
        "attack": {"domain", "classifier", "picture", "attack", "target", "seed"},
        "columns": {"domain", "classifier", "picture", "attack", "target", "seed", "defenses"},
    }[what]
    return f"{what} {attacker or ''} {place()} {wanted.model_dump_json(include=fields)}"


def attack_key(wanted: Recipe) -> str:
    return _key("attack", wanted)


def attacked(wanted: Recipe) -> Attacked | None:
    """The attack's result, where it was computed already."""
    held: Attacked | None = results().get(_key("attack", wanted))
    return held


def columns(wanted: Recipe, attacker: Attacker) -> tuple[Column, ...] | None:
    """The defenses' results against one attacker, where they were computed already."""
    held: tuple[Column, ...] | None = results().get(_key("columns", wanted, attacker))
    return held


def start_attack(wanted: Recipe, on: Scene) -> None:
    """Begin the attack; whatever else this visitor had running is stopped."""
    _start(_key("attack", wanted), wanted.built_attack().title, lambda watch: fool(wanted, on, watch=watch))


def start_columns(wanted: Recipe, on: Scene, base: Attacked, attacker: Attacker) -> None:
    """Begin to put the defenses beside each other."""
    asked = wanted.but(attacker=attacker)
    _start(_key("columns", wanted, attacker), "Defenses", lambda watch: defend(asked, on, base, watch=watch))


def start_fetch(domain: str) -> None:
    """Begin to download a domain's data set."""

    def fetch(watch: Callable[[Progress], bool]) -> bool:
        domains.get(domain).fetch(lambda done, total: watch(Progress(f"Downloading {domain}", done, total)))
        return True

    _start(f"fetch {domain}", f"Downloading {domain}", fetch)


def _start(key: str, text: str, work: jobs.Work) -> None:
    if collect() and key in results():
        return  # it ended between the last look and this run
    running = job()
    if running is not None and running.live:
        if running.key == key:
            return
        running.cancel.set()
    st.session_state.job = started = jobs.submit(key, text, work)
    started.finished.wait(jobs.PATIENCE)  # short work needs no progress bar
    collect()


def job() -> Job | None:
    held: Job | None = st.session_state.get("job")
    return held


def collect() -> bool:
    """Take over what a finished job found; True when there was something."""
    finished = job()
    if finished is None or finished.live:
        return False
    del st.session_state.job
    if finished.error:
        st.session_state.complaint = finished.error
        st.session_state.setdefault("failed", set()).add(finished.key)
    if finished.result is not None:
        keep(finished.key, finished.result)
    return True


def failed(key: str) -> bool:
    """Whether the work of that key failed before; it is not begun again by itself."""
    return key in st.session_state.get("failed", set())


def forget(key: str) -> None:
    """Drop a result, so that it is computed anew."""
    results().pop(key, None)
    st.session_state.get("failed", set()).discard(key)
