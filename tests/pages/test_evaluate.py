"""The Evaluate screen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import evaluations
from core.evaluate import BARE, CLEAN, Place, Plan, Run, shelf
from core.evaluate.running import evaluate
from core.recipe import Method, Recipe
from tests.pages.visits import tiles, verdict, visit

PLAN = Plan(
    domain="mnist",
    count=30,
    attacks=(
        Method(name="fgsm", params={"eps": 40 / 255}),
        Method(name="fgsm", params={"eps": 80 / 255}),
    ),
    defenses=((Method(name="median"),), (Method(name="bitdepth", params={"bits": 1}),)),
    detect=True,
)
LINK = Recipe(domain="mnist").to_link()


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own for the runs; what a test has begun ends with it."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    yield tmp_path / "runs"
    for at in evaluations._all().values():
        at.cancel.set()
        at.finished.wait(30)
    evaluations._all().clear()


@pytest.fixture
def done(runs: Path) -> Plan:
    with Run.create(PLAN, "cpu") as run:
        assert evaluate(run, device="cpu")
    return PLAN


def waited(app: AppTest) -> AppTest:
    for _ in range(300):
        assert not app.exception, app.exception
        if all(at.finished.is_set() for at in evaluations._all().values()):
            return app.run()
        time.sleep(0.1)
    raise AssertionError("the evaluation did not end")


def test_the_first_visit_says_what_to_do_and_a_run_fills_it() -> None:
    app = visit("evaluate")
    assert verdict(app) == "Choose attacks and defenses, and see what they do to many pictures."
    assert app.number_input(key="ev_count_photos_test").value == 17
    app.multiselect(key=next(w.key for w in app.multiselect if str(w.key).startswith("ev_attacks"))).set_value(["FGSM"])
    app.run()
    app.button(key="ev_run").click().run()
    waited(app)
    run = shelf.opened(shelf.listed()[0].name)
    with run:
        right = int((run.cell(0, CLEAN, BARE, BARE).predicted == run.labels).sum())
        left = int((run.cell(0, 0, BARE, BARE).predicted == run.labels).sum())
    assert verdict(app).startswith(f"FGSM leaves {left} of 17 right ({right} without it)")
    assert "Known to the attacker:" in verdict(app)
    frame = app.dataframe[0].value
    assert list(frame["Attack"]) == ["no attack", "FGSM"] and frame.shape[1] == 8
    assert f"{left} of 17" in frame["no defense"][1]


def test_a_cell_opens_its_confusions_and_its_pictures(done: Plan) -> None:
    app = visit("evaluate", LINK)
    name = done.name
    key = f"ev_matrix_{name}_0_accuracy"
    app.session_state[key] = {"selection": {"rows": [], "columns": [], "cells": [(2, "Median filter (known)")]}}
    app.run()
    with shelf.opened(name) as run:
        said = run.cell(0, 1, 0, 0).predicted
        labels, numbers = run.labels.copy(), run.numbers.copy()
    heading = app.subheader[0].value.replace("\\", "")
    assert (
        heading.startswith("FGSM (eps 80/255), Median filter (known)") and f"{(said == labels).sum()} of 30" in heading
    )
    shown = tiles(app, "Pictures of the cell")
    assert len(shown) == 12
    first = shown[0]
    assert first["title"] == f"{labels[0]}, test {numbers[0]}"
    word = dict(first["links"])["Windows"]
    recipe = Recipe.from_link(word.split("recipe=")[1])
    assert recipe.picture.index == numbers[0] and recipe.attack.params["eps"] == pytest.approx(80 / 255)
    assert recipe.defenses == ((Method(name="median"),),) and recipe.attacker == "adaptive"
    assert word.startswith("windows?") and {t for t, _ in first["links"]} == {"Attack", "Defend", "Windows", "Grad-CAM"}
    wrong = next(n for n in range(30) if said[n] != labels[n])
    chosen = {
        "points": [{"customdata": [int(labels[wrong]), int(said[wrong]), 1]}],
        "point_indices": [],
        "box": [],
        "lasso": [],
    }
    chart = f"ev_confusion_{name}_{Place(0, 1, 0, 'adaptive')}_true_class"
    app.session_state[chart] = {"selection": chosen}
    app.run()
    alike = [n for n in range(30) if labels[n] == labels[wrong] and said[n] == said[wrong]]
    assert [tile["title"] for tile in tiles(app, "Pictures of the cell")] == [
        f"{labels[n]}, test {numbers[n]}" for n in alike[:12]
    ]


@pytest.mark.parametrize("tab", ["Accuracy by eps", "Recovered and broken", "Time"])
def test_every_view_is_drawn(tab: str, done: Plan) -> None:
    app = visit("evaluate", LINK)
    app.session_state["ev_tabs"] = tab
    app.run()
    assert not app.exception
    charts = len(app.get("plotly_chart"))
    assert charts == 1 if tab != "Recovered and broken" else any("breaks" in d.value.columns for d in app.dataframe)


@pytest.mark.parametrize("measure", ["success", "recovered", "flagged"])
def test_every_measure_fills_the_matrix(measure: str, done: Plan) -> None:
    app = visit("evaluate", LINK)
    app.segmented_control(key=f"ev_measure_{done.name}").set_value(measure).run()
    frame = app.dataframe[0].value
    assert " of " in " ".join(str(value) for value in frame.iloc[1])


def test_a_stopped_run_goes_on(runs: Path) -> None:
    with Run.create(PLAN, "cpu") as run:
        evaluate(run, device="cpu", watch=lambda advance: advance.done >= 3)
    app = visit("evaluate", LINK)
    assert any("3 of " in str(m.value) for m in app.markdown)
    app.button(key=f"go_{PLAN.name}").click().run()
    waited(app)
    assert shelf.listed()[0].done == shelf.listed()[0].total


def test_runs_are_compared_and_deleted(done: Plan) -> None:
    other = done.model_copy(update={"seed": 1})
    with Run.create(other, "cpu") as run:
        evaluate(run, device="cpu")
    app = visit("evaluate", LINK)
    frame = next(d.value for d in app.dataframe if "difference" in d.value.columns)
    assert len(frame) == 13 and frame["difference"].str.endswith("points").all()
    app.button(key=f"delete_{done.name}").click().run()
    app.button(key="ev_sure").click().run()
    assert [one.name for one in shelf.listed()] == [other.name]


def test_a_damaged_run_says_so_and_can_be_deleted(done: Plan, runs: Path) -> None:
    (runs / "broken.sqlite").write_bytes(b"no results at all" * 50)
    app = visit("evaluate", LINK)
    assert any("damaged" in str(m.value) for m in app.markdown)
    assert verdict(app).startswith("FGSM")
    app.query_params["run"] = "broken"
    app.run()
    assert "damaged" in app.warning[0].value


def test_nothing_chosen_and_nonsense_get_a_sentence() -> None:
    app = visit("evaluate")
    for widget in app.multiselect:
        if str(widget.key).startswith(("ev_attacks", "ev_defenses")):
            widget.set_value([])
    app.run()
    assert app.button(key="ev_run").disabled
    assert any("Choose an attack or a defense" in str(c.value) for c in app.caption)
    app.text_input(key="ev_eps").set_value("many").run()
    app.multiselect(key=next(w.key for w in app.multiselect if str(w.key).startswith("ev_attacks"))).set_value(
        ["FGSM"]
    ).run()
    assert "is no list of numbers" in app.error[0].value
    app.text_input(key="ev_eps").set_value("900").run()
    assert "eps" in app.error[0].value
