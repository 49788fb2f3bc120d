"""One attack, defenses side by side, and the attacker who knows them beside the one who does not."""

from typing import Literal

import numpy as np
import streamlit as st

from app import theme
from app.components.image_row import Tile, magnified_difference, row
from app.components.tables import table
from app.runtime import examples, progress, recipe_jobs
from app.sections.column_editor import column_editor
from app.sections.defense_grid import show_defense_grid
from app.sections.diagnostics import diagnostics
from app.state import result_keys, results, session
from app.state.result_keys import Kind
from app.text import attacked_title, duration, mark, prediction
from app.verdicts.defend import (
    defend_verdict,
    guard_words,
    short_names,
    sweep_caption,
    table_of_columns,
    table_of_votes,
    vote_headline,
    vote_members,
)
from core import defenses, domains
from core.analysis.comparison import diagnose
from core.declaration import Parameter, format_value
from core.recipe import AttackOutcome, DefenseOutcome, Example, Outcome, Recipe, make_outcome, sweep
from core.recipe.columns import methods_of
from core.recipe.recipe import Attacker
from core.recipe.running import SweepPoint

OneAttacker = Literal["grey", "adaptive"]
EACH: tuple[OneAttacker, ...] = ("grey", "adaptive")
ATTACKERS: dict[Attacker, str] = {
    "grey": "does not know the defense (grey box)",
    "adaptive": "knows it (adaptive)",
    "both": "both, one below the other",
}


def side_by_side(outcome: Outcome, attacker: str, dimmed: bool) -> None:
    """Without a defense first, then a column a defense: what is left, what it removed, what the classifier says."""
    classes, label = outcome.classes, outcome.known_label
    tiles = [
        Tile(
            outcome.attacked.adversarial,
            attacked_title(outcome.attacked, "no defense"),
            prediction(outcome.attacked.prediction, classes, label),
            "adversarial",
            file_name="adversarial.png",
        )
    ]
    removed = []
    for name, column in zip(short_names(outcome.columns), outcome.columns, strict=True):
        guard = column.grey if attacker == "grey" else column.adaptive
        if guard is None:
            continue
        attack = guard.attack or outcome.attacked
        tiles.append(
            Tile(
                guard.defended,
                column.short_title if len(name) > 40 else name,
                guard_words(guard, classes, label),
                "defended",
                file_name=f"defended_{len(tiles)}.png",
            )
        )
        change, factor = magnified_difference(attack.adversarial, guard.defended)
        whole = "what the first member gets · " if guard.votes else ""
        cost = f"{whole}clean: {prediction(column.clean.prediction, classes, label)}"
        cost += f" · {duration(column.seconds)}" if column.seconds else ""
        removed.append(
            Tile(change, _times("what it changed", factor), cost, "neutral", file_name=f"changed_{len(tiles) - 1}.png")
        )
    row(tiles, key=f"columns_{attacker}", label="Defended images", width=170, dimmed=dimmed)
    change, factor = magnified_difference(outcome.clean, outcome.attacked.adversarial)
    row(
        [
            Tile(change, _times("the attack", factor), outcome.attacked.method, file_name="delta.png"),
            *removed,
        ],
        key=f"removed_{attacker}",
        label="What each defense changed",
        width=170,
        dimmed=dimmed,
    )


def _times(title: str, factor: int) -> str:
    return f"{title} × {factor}" if factor > 1 else title


def sweeping(
    recipe: Recipe, example: Example, attacked: AttackOutcome, columns: tuple[DefenseOutcome, ...], *, waits: bool
) -> None:
    """Small multiples over one parameter of one defense; it `waits` while the comparison runs, for a user has one job at a time."""
    st.subheader("Sweep one parameter", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        domain = domains.get(recipe.domain)
        names = defenses.names(domain)
        first = next((method.name for method in methods_of(recipe.defenses)), names[0])
        name = st.selectbox(
            "Defense",
            names,
            names.index(first),
            format_func=lambda n: defenses.get(n).title,
            key="sweep_name",
            width=220,
        )
        parameters = {
            p.name: p
            for p in defenses.get(name).parameters_for(domain)
            if p.kind in ("number", "integer", "choice", "flag")
        }
        word = st.selectbox("Parameter", list(parameters), key=f"sweep_{name}", width=220)
    key = result_keys.sweep(recipe, name, word)
    if waits and results.get(key) is None:
        st.caption("The sweep begins when the comparison above is done.")
        return
    values = stops(parameters[word])
    result = progress.run_cached(
        key,
        f"{defenses.get(name).title} over {word}",
        lambda on_progress: sweep(recipe, example, attacked, name, word, values, on_progress=on_progress),
    )
    if result is None:
        return
    classes = example.classifier.classes
    tiles = [
        Tile(
            point.attacked.defended,
            f"{word} {format_value(point.value, parameters[word].unit if parameters[word].unit == '/255' else '')}",
            f"{prediction(point.attacked.prediction, classes, example.known_label)} · {_clean_words(point, example)}",
            "defended",
            file_name=f"sweep_{number}.png",
        )
        for number, point in enumerate(result)
    ]
    row(tiles, key="sweep", label=f"{name} over {word}", width=100)
    st.caption(theme.plain(sweep_caption(example.classifier.title, columns)))


def _clean_words(point: SweepPoint, example: Example) -> str:
    """What the defense does to the clean image."""
    if example.label_known:
        return f"clean {mark(point.clean.recovered)}"
    return "clean prediction kept" if point.clean.recovered else "clean prediction changed"


def stops(parameter: Parameter) -> tuple[object, ...]:
    """Seven values over a parameter's usual range, or all of its words."""
    if parameter.kind == "choice":
        return parameter.choices
    if parameter.kind == "flag":
        return (False, True)
    assert parameter.low is not None and parameter.high is not None
    high = parameter.slider_max or parameter.high
    if parameter.kind == "integer" and high - parameter.low < 8 * (parameter.step or 1):
        return tuple(range(int(parameter.low), int(high) + 1, int(parameter.step or 1)))
    values = np.linspace(parameter.low, high, 7)
    if parameter.kind == "number":
        return tuple(float(f"{value:.3g}") for value in values)
    step = int(parameter.step or 1)
    snapped = {int(parameter.low + step * round((value - parameter.low) / step)) for value in values}
    return tuple(sorted(value for value in snapped if value <= parameter.high))


example = examples.current()
if example is None:
    st.stop()
assert example is not None
head = st.container()
session.set_widget("attacker", session.recipe().attacker)
st.segmented_control(
    "The attacker",
    list(ATTACKERS),
    format_func=ATTACKERS.__getitem__,
    key="attacker",
    required=True,
    on_change=lambda: session.update_recipe(attacker=st.session_state.attacker),
)
recipe = column_editor(session.recipe())
attacker = recipe.attacker
session.sync_query_params()
if not recipe.defenses:
    with head:
        theme.verdict("No defense is chosen.")
    st.write("Add one above to see what it makes of the attack.")
    st.stop()
with head:
    _, attack_outcome = progress.require_attack()


def outcomes(kind: OneAttacker) -> tuple[DefenseOutcome, ...]:
    return results.get(result_keys.defenses(recipe, kind)) or ()


# The attacker that is looked at comes first; the other one's columns follow by themselves, so that the two always stand beside
# each other. After a stop nothing more begins by itself.
kinds: tuple[OneAttacker, OneAttacker] = ("adaptive", "grey") if attacker == "adaptive" else ("grey", "adaptive")
unfinished: OneAttacker | None = None
for kind in kinds:
    if len(outcomes(kind)) < len(recipe.defenses):
        recipe_jobs.start_defenses(recipe, example, attack_outcome, kind)
    if len(outcomes(kind)) < len(recipe.defenses):
        unfinished = kind
        break
busy = progress.show_progress(Kind.DEFENSES)
grey, adaptive = outcomes("grey"), outcomes("adaptive")
merged = tuple(
    column.model_copy(update={"adaptive": adaptive[n].adaptive if n < len(adaptive) else None})
    for n, column in enumerate(grey)
)
outcome = make_outcome(recipe, example, attack_outcome, merged)
there = [kind for kind in EACH if attacker in (kind, "both") and merged and outcomes(kind)]
complete = len(there) == (2 if attacker == "both" else 1)
previous: Outcome | None = st.session_state.get("shown_defend")
if complete:
    st.session_state.shown_defend = outcome
with head:
    what = "The comparison of defenses" if unfinished == "grey" else "The attacks by an attacker who knows the defenses"
    state = (
        progress.status_text(result_keys.defenses(recipe, unfinished), "The defenses are at work.", what)
        if unfinished
        else ""
    )
    theme.verdict(defend_verdict(outcome) if merged else state)
    if unfinished and not busy:
        if merged:
            done = f"{len(outcomes(unfinished))} of {len(recipe.defenses)} are done."
            st.caption(theme.plain(f"{state} {done}"))
        progress.retry_button(result_keys.defenses(recipe, unfinished))
if complete:
    for kind in there:
        if attacker == "both":
            st.markdown(f"**The attacker {ATTACKERS[kind]}**")
        side_by_side(outcome, kind, dimmed=False)
elif previous is not None:
    side_by_side(previous, "grey", dimmed=True)
if merged:
    st.subheader("Side by side", anchor=False)
    table(table_of_columns(merged, outcome.classes, outcome.known_label), key="defenses", name="defenses")
    for sentence in vote_members(merged, recipe.build_systems()):
        st.caption(theme.plain(sentence, 3000))
    st.caption(
        f"One image, seed {recipe.seed}; the attack is {theme.plain(attack_outcome.method)} on {example.classifier.title}. "
        "An attacker who knows the defense differentiates through it, or counts it as the identity where it has no gradient (BPDA)."
    )
    if votes := table_of_votes(merged, outcome.classes, outcome.known_label):
        st.subheader("The vote", anchor=False)
        st.write(theme.plain(vote_headline(merged, outcome.classes)))
        table(votes, key="votes", name="votes")
        st.caption(
            "The scores of each member sum to 1; the vote adds them up and names the class with the highest sum. A member's share is its "
            "part of that sum. An attacker who knows the vote attacks the sum."
        )
    if len(adaptive) < len(merged) and not busy:
        st.caption(
            "The attacker who knows them was stopped: what stands here against one who does not know is not robustness."
        )
    diagnostics(diagnose(outcome), key="defend_flags")
    show_defense_grid(recipe, example, waits=bool(busy))
    sweeping(recipe, example, attack_outcome, merged, waits=bool(busy))
