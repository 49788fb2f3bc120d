"""One visitor's work: the recipe, mirrored into the address, and what was computed for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import streamlit as st

from app.runtime import jobs
from app.runtime.jobs import Job
from app.runtime.streamlit_adapter import stepped_in_history
from app.state import model_cache, result_keys, results
from app.state.result_keys import AnyKey, Kind, ResultKey, classifier_name, device_name
from app.state.uploads import hold
from app.state.uploads import uploads as uploads
from app.theme import plain
from core import defenses, domains
from core.explain import layers as explain
from core.explain.layers import Layer
from core.fetching import Watch as Bytes
from core.inputs import BadInput
from core.models.classifier import Classifier
from core.recipe import (
    AttackOutcome,
    Example,
    Picture,
    Progress,
    Recipe,
    View,
    compare_attacks,
    cost,
    craft,
    evaluate_defenses,
    load_example,
    place_map,
    transfer,
)
from core.recipe.columns import Columns, fitting_columns, members_of, named_classifiers
from core.recipe.recipe import Attacker
from core.systems.system import Loader

# The recipe


def recipe() -> Recipe:
    """The user's recipe, which `follow_address` reads and `change` changes."""
    held: Recipe = st.session_state.setdefault("recipe", Recipe())
    return held


def follow_address() -> None:
    """Read the recipe from the address where this session did not write it: a link, or a step back or forward in the browser.

    What the browser sends may be older than what was written last. That is no step back, unless the browser says that it is.
    """
    word = st.query_params.get("recipe", "")
    written: list[str] = st.session_state.setdefault("addresses", [])  # since the browser last sent what was written
    if written and word == written[-1]:
        del written[:-1]
        return
    fresh = not written
    # A link to another page carries no recipe.
    if (fresh and not word) or (not fresh and not stepped_in_history() and (not word or word in written)):
        return
    written[:] = [word]
    try:
        adopt(Recipe.from_link(word) if word else Recipe())
    except BadInput as error:
        instead = "Mirage shows its first example instead." if fresh else "Mirage keeps what it showed before."
        tell(f"{error} {instead}")


def adopt(linked: Recipe) -> None:
    """Make another recipe the user's."""
    if linked.domain not in domains.names():
        raise BadInput(f"{domains.get(linked.domain).title} has no classifier on this machine yet.")
    st.session_state.pop("complaint", None)
    st.session_state.recipe = linked
    st.session_state.side_source = linked.picture.kind


def change(**changes: Any) -> None:
    """Change some fields of the recipe; an impossible change is told and leaves everything as it was.

    To be called from callbacks: they run before the page does, so that all parts of the page see the same recipe.
    """
    st.session_state.pop("complaint", None)
    with told():
        if "true_class" not in changes and _other_image(recipe(), changes):
            changes["true_class"] = ""  # it was said of the image before
        if "domain" in changes and "defenses" not in changes:
            changes["defenses"] = _fitting(changes["domain"], recipe().defenses)
        before = recipe()
        if "view" not in changes:  # a layer belongs to a classifier, and a class and a radius to a domain
            if changes.get("domain", before.domain) != before.domain:
                changes["view"] = View(class_map=before.view.class_map, landscape=before.view.landscape)
            elif changes.get("classifier", before.classifier) != before.classifier:
                changes["view"] = before.view.model_copy(update={"layer": "", "threshold": None})
        now = before.but(**changes)
        st.session_state.recipe = now
        if now.picture.kind != before.picture.kind and st.session_state.get("side_source") != now.picture.kind:
            st.session_state.side_source = now.picture.kind


def change_view(**changes: Any) -> None:
    """Change what the pages show of the recipe; as `change`."""
    change(view={**recipe().view.model_dump(), **changes})


def _fitting(domain: str, columns: Columns) -> Columns:
    """The columns that are for that domain; those that are not are told."""
    kept = fitting_columns(domain, columns)
    gone = [
        " and ".join(
            member.classifier or " → ".join(defenses.get(method.name).title for method in member.defenses)
            for member in members_of(column)
        )
        for column in columns
        if column not in kept
    ]
    if gone:
        tell(
            f"{' and '.join(gone)} {'is' if len(gone) == 1 else 'are'} not for {domains.get(domain).title}, and left out."
        )
    return kept


@contextmanager
def told() -> Iterator[None]:
    """What is refused inside gets a sentence at the top of the page."""
    try:
        yield
    except BadInput as error:
        tell(str(error))


def open_page(name: str) -> None:
    """Go to another page with the recipe."""
    st.switch_page(f"pages/{name}.py", query_params={"recipe": recipe().to_link()} if recipe() != Recipe() else {})


def tell(sentence: str) -> None:
    """Say that sentence at the top of the page, until the user does something else."""
    st.session_state.complaint = sentence


def _other_image(held: Recipe, changes: Mapping[str, Any]) -> bool:
    """Whether these changes lead to another image, not only to another fit of the same one."""
    if changes.get("domain", held.domain) != held.domain:
        return True
    if "picture" not in changes:
        return False
    return Picture.model_validate(changes["picture"]).model_copy(update={"fit": held.picture.fit}) != held.picture


def stand(key: str, value: Any) -> None:
    """Have the widget of that key stand at `value`. What a script writes goes to the browser and undoes a choice that is on its way from
    there, so it is only written where something else stands."""
    held = st.session_state.get(key)
    same = held == value
    if isinstance(value, float) and isinstance(held, int | float):
        same = abs(held - value) <= 1e-9 * max(1.0, abs(value))
    if not same:
        st.session_state[key] = value


def add_attack(name: str) -> None:
    """Put one more attack into the comparison."""
    held = recipe().comparison
    change(comparison={**held.model_dump(), "attacks": (*held.attacks, name)})


def mirror() -> None:
    """Write the recipe into the address, so that a reload, a bookmark and a shared link come back to it."""
    held = recipe()
    word = held.to_link() if held != Recipe() else ""
    written: list[str] = st.session_state.setdefault("addresses", [])
    if st.query_params.get("recipe", "") == word:
        return
    if not written or written[-1] != word:
        written.append(word)
    if word:
        st.query_params["recipe"] = word
    else:
        del st.query_params["recipe"]


def complaint() -> None:
    """Show what could not be done, until the user does something else."""
    text = st.session_state.get("complaint")
    st.session_state.complaint_shown = text
    if text:
        st.warning(plain(text), icon=":material/info:")


def late_complaint() -> None:
    """The same in a part of the page that runs again by itself, where the page has not said it."""
    text = st.session_state.get("complaint")
    if text and text != st.session_state.get("complaint_shown"):
        st.warning(plain(text), icon=":material/info:")


# What was computed


def scene() -> Example | None:
    """The picture and the classifier of the recipe; None while the classifier is not here, or where `problem` says why not."""
    st.session_state.pop("problem", None)
    collect()
    wanted = recipe()
    key = result_keys.example(wanted)
    if results.get(key) is None:
        loaded = _classifier(wanted, classifier_name(wanted))
        if loaded is None:
            return None
        hold(wanted.picture.digest)
        try:
            found = load_example(wanted, classifier=loaded, classifiers=_loader(wanted.domain), uploads=uploads())
        except BadInput as error:
            st.session_state.problem = str(error)
            return None
        stored = results.results()
        for other in [k for k, r in stored.items() if isinstance(r, Example) and r.classifier is not loaded]:
            del stored[other]  # it would hold a classifier that nobody uses
        results.put(key, found)
    for name in named_classifiers(wanted.defenses):
        if not domains.get(wanted.domain).is_local(name) and _classifier(wanted, name) is None:
            return None
    return results.get(key)


def _loader(domain: str) -> Loader:
    """Gives a domain's classifiers by name, in whatever thread."""
    shelf, device, root = model_cache.shelf(), device_name(), str(domains.data_root())
    return lambda name: shelf.load((domain, name, device, root))


def missing_classifier() -> str:
    """The first classifier of the recipe that has to be downloaded before anything is shown."""
    wanted = recipe()
    names = (classifier_name(wanted), *named_classifiers(wanted.defenses))
    return next((name for name in names if not model_cache.here(_key(wanted, name))), names[0])


def _key(wanted: Recipe, name: str) -> model_cache.Key:
    return (wanted.domain, name, device_name(), str(domains.data_root()))


def problem() -> str:
    """Why the recipe's image cannot be shown, as a sentence; empty where it can."""
    return str(st.session_state.get("problem", ""))


def _classifier(wanted: Recipe, name: str) -> Classifier | None:
    """A classifier of the recipe's domain, at once where it ships or is loaded; else a download begins."""
    key = _key(wanted, name)
    held = model_cache.shelf().get(key)
    if held is None and domains.get(wanted.domain).is_local(name):
        try:
            held = model_cache.shelf().load(key)
        except BadInput as error:
            st.session_state.complaint = str(error)
    elif held is None:
        shelf = model_cache.shelf()
        title = domains.get(wanted.domain).classifier_title(name)
        start_download(result_keys.weights(wanted, name), f"Getting {title}", lambda watch: shelf.load(key, watch))
        held = shelf.get(key)
    return held


def layers(of: Classifier) -> tuple[Layer, ...]:
    """The classifier's layers, looked up once."""
    key = result_keys.layers(of.domain, of.name)
    found = results.get(key)
    if found is None:
        found = explain.layers(of)
        results.put(key, found)
    return found


def start_attack(wanted: Recipe, on: Example) -> None:
    """Begin the attack; whatever else this visitor had running is stopped."""
    title = wanted.built_attack().title
    key = result_keys.attack(wanted)
    start(key, title, lambda watch: craft(wanted, on, on_progress=watch), seconds=cost.attack_seconds(wanted))


def start_columns(wanted: Recipe, on: Example, base: AttackOutcome, attacker: Attacker) -> None:
    """Begin to put the defenses beside each other."""
    asked = wanted.but(attacker=attacker)
    seconds = cost.columns_seconds(wanted, attacker)
    key = result_keys.defenses(wanted, attacker)
    start(key, "Defenses", lambda watch: evaluate_defenses(asked, on, base, on_progress=watch), seconds=seconds)


def start_comparison(wanted: Recipe, on: Example) -> None:
    """Begin to put the comparison's attacks beside each other."""
    seconds = cost.comparison_seconds(wanted)
    key = result_keys.comparison(wanted)
    start(key, "Attacks", lambda watch: compare_attacks(wanted, on, on_progress=watch), seconds=seconds)


def start_transfer(wanted: Recipe, on: Example, names: tuple[str, ...]) -> None:
    """Begin to try the attack on each of those classifiers of the recipe's domain."""
    shelf, held, device, root = model_cache.shelf(), uploads(), device_name(), str(domains.data_root())

    def scene_of(name: str) -> Example:
        loaded = shelf.load((wanted.domain, name, device, root))
        return load_example(wanted.but(classifier=name, picture=on.picture), classifier=loaded, uploads=held)

    scenes = {name: partial(scene_of, name) for name in names}
    seconds = len(names) * cost.attack_seconds(wanted)
    start(
        result_keys.transfer(wanted),
        "Transfer",
        lambda watch: transfer(wanted, scenes, on_progress=watch),
        seconds=seconds,
    )


def start_places(wanted: Recipe, on: Example, target: int) -> None:
    """Begin to try the patch over a grid of places."""
    seconds = 25 * cost.attack_seconds(wanted)
    work = partial(place_map, wanted, on, target)
    start(result_keys.locations(wanted), "Trying places", lambda watch: work(on_progress=watch), seconds=seconds)


def place_patch(row: float, column: float) -> None:
    """Lay the attack's patch at that place, 0 to 1 from the top and from the left."""
    held = recipe().attack
    change(attack={"name": held.name, "params": {**held.params, "place": "given", "row": row, "column": column}})


def start_fetch(domain: str) -> None:
    """Begin to download a domain's data set."""
    shelf = domains.get(domain)
    key = result_keys.data_set(domain)
    forget(key)
    start_download(key, f"Downloading {shelf.dataset}", shelf.fetch)


def start_download(key: ResultKey[bool], text: str, fetch: Callable[[Bytes], object]) -> None:
    """Begin a download beside whatever computes; one at a time for each visitor."""
    running: Job | None = st.session_state.get("download")
    if given_up(key) or (running is not None and running.live and running.key == key):
        return
    if running is not None:
        running.cancel.set()

    def work(watch: Callable[[Progress], bool]) -> bool:
        fetch(lambda done, total: watch(Progress(text, round(done / 1e6), round(total / 1e6))))
        return True

    st.session_state.download = jobs.submit(key, text, work, network=True)
    st.session_state.download.finished.wait(jobs.PATIENCE)
    collect()


def start(key: AnyKey, text: str, work: jobs.Work, *, seconds: float = 0.0) -> None:
    """Begin work whose result is kept under `key`; whatever else this visitor had running is stopped.

    Work that will take long, about `seconds` on a processor, waits until the user says so; what would take too long is not begun.
    """
    collect()
    if given_up(key) or results.get(key) is not None:
        return  # it was given up, or it ended between the last look and this run
    base = results.get(result_keys.attack(recipe()))
    if base is not None and base.stopped and key not in _agreed() and key.needs_attack:
        _given_up()[key] = "stopped"  # what is built on the attack does not begin by itself
        return
    running = job()
    if running is not None and running.live:
        if running.key == key:
            return
        running.cancel.set()
    found = results.shared_cache().get(key)
    if found is not None:
        results.put(key, found)
        return
    takes = cost.on_device(seconds, device_name())
    if takes > cost.ASK and (takes > cost.most() or key not in _agreed()):
        _given_up()[key] = "refused" if takes > cost.most() else "asked"
        st.session_state.setdefault("takes", {})[key] = takes
        return
    st.session_state.job = started = jobs.submit(key, text, work)
    started.finished.wait(jobs.PATIENCE)  # short work needs no progress bar
    collect()


def job() -> Job | None:
    held: Job | None = st.session_state.get("job")
    return held


def collect() -> bool:
    """Take over what finished jobs found; True when there was something. A failure is told at once."""
    ended = [slot for slot in ("job", "download") if slot in st.session_state and not st.session_state[slot].live]
    said = False
    for slot in ended:
        finished: Job = st.session_state.pop(slot)
        if finished.cancel.is_set():
            _given_up()[finished.key] = "stopped"
        elif finished.result is None:
            _given_up()[finished.key] = "failed"
        if finished.result is not None:
            results.put(finished.key, finished.result)
            if slot == "job" and not finished.cancel.is_set():  # what was stopped is half of it
                results.shared_cache().put(finished.key, finished.result)
        elif finished.error:
            tell(finished.error)
            said = True
    if said:
        st.rerun()  # the sentence stands at the top of the page, which is drawn already
    return bool(ended)


GivenUp = Literal["stopped", "failed", "asked", "refused"]


def _agreed() -> set[AnyKey]:
    """The work that the user asked for, not only a link."""
    held: set[AnyKey] = st.session_state.setdefault("agreed", set())
    return held


def _given_up() -> dict[AnyKey, GivenUp]:
    held: dict[AnyKey, GivenUp] = st.session_state.setdefault("given_up", {})
    return held


def given_up(key: AnyKey) -> GivenUp | None:
    """Whether the work of that key was stopped, failed, would take long or too long; it is not begun by itself."""
    return _given_up().get(key)


def takes(key: AnyKey) -> float:
    """About how many seconds the work of that key will take, where it was not begun because of that."""
    return float(st.session_state.get("takes", {}).get(key, 0.0))


def forget(key: AnyKey) -> None:
    """Drop a result, so that it is computed anew, however long that takes: the user asks for it."""
    results.results().pop(key, None)
    _agreed().add(key)
    if key.kind is Kind.ATTACK:
        _given_up().clear()  # what was built on it may begin again
    _given_up().pop(key, None)
    st.session_state.pop("complaint", None)
