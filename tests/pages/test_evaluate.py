"""The Evaluate screen."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.runtime import evaluation_jobs
from core.evaluate import NO_ATTACK, NO_DEFENSE, CellKey, Plan, RunStore, run_index
from core.evaluate.running import evaluate
from core.recipe import Method, Recipe
from core.recipe.view import View
from tests.core.evaluate.filled import fill
from tests.pages.evaluation import LINK, PLAN
from tests.pages.visits import tiles, verdict, visit

pytestmark = pytest.mark.usefixtures("runs")


def waited(app: AppTest) -> AppTest:
    for _ in range(300):
        assert not app.exception, app.exception
        if all(at.finished.is_set() for at in evaluation_jobs._evaluations().values()):
            return app.run()
        time.sleep(0.1)
    raise AssertionError("the evaluation did not end")


def test_the_first_visit_says_what_to_do_and_a_run_fills_it() -> None:
    app = visit("evaluate")
    assert verdict(app) == "Choose attacks and defenses, and see what they do to many images."
    assert app.number_input(key="ev_count_photos_test").value == 17
    app.multiselect(key=next(w.key for w in app.multiselect if str(w.key).startswith("ev_attacks"))).set_value(["FGSM"])
    app.run()
    app.button(key="ev_run").click().run()
    waited(app)
    run = run_index.open_run(run_index.list_runs()[0].name)
    with run:
        right = int((run.cell(0, NO_ATTACK, NO_DEFENSE, NO_DEFENSE).predicted == run.labels).sum())
        left = int((run.cell(0, 0, NO_DEFENSE, NO_DEFENSE).predicted == run.labels).sum())
    assert verdict(app).startswith(f"FGSM (eps 8/255) leaves {left} of 17 right ({right} without it)")
    assert "Known to the attacker:" in verdict(app)
    frame = app.dataframe[0].value
    assert list(frame["Attack"]) == ["no attack", "FGSM (eps 8/255)"] and frame.shape[1] == 8
    assert f"{left} of 17" in frame["no defense"][1]


def test_certificates_are_chosen_and_their_promises_are_shown() -> None:
    recipe = Recipe(domain="mnist", classifier="mlp")
    recipe = recipe.replace(view=View(certificate=Method(name="flow", params={"eps": 1.0})))
    app = visit("evaluate", recipe.to_link())
    keys = {str(widget.key): widget for widget in app.multiselect}
    for key, value in (("ev_attacks", []), ("ev_defenses", ["Median filter"]), ("ev_certificates", ["flow"])):
        next(widget for name, widget in keys.items() if name.startswith(key)).set_value(value)
    app.number_input(key="ev_count_mnist_test").set_value(6)
    app.run()
    app.button(key="ev_run").click().run()
    waited(app)
    with run_index.open_run(run_index.list_runs()[0].name) as run:
        assert run.plan.certificates == (Method(name="flow", params={"eps": 1.0}),)  # as the Certify page has it
        count = int(run.certified(0, 0, NO_DEFENSE).certified.sum())
    assert verdict(app).endswith(f"By Flow certificate (eps 1 px), {count} of 6 are certified.")
    app.session_state["ev_tabs"] = "Certified"
    app.run()
    rows = next(frame.value for frame in app.dataframe if "Certificate" in frame.value)
    assert list(rows["System"]) == ["no defense", "Median filter"]
    assert rows["certified"][0].startswith(f"{100 * count / 6:.1f} % ({count} of 6;") and rows["certified"][1] == "–"
    captions = [str(c.value) for c in app.caption]
    assert any("total variation" in c for c in captions) and any(
        "not worked out for Median filter" in c for c in captions
    )


def test_a_cell_opens_its_confusions_and_its_images(done: Plan) -> None:
    app = visit("evaluate", LINK)
    name = done.name
    key = f"ev_matrix_{name}_0_accuracy"
    app.session_state[key] = {"selection": {"rows": [], "columns": [], "cells": [(2, "Median filter (known)")]}}
    app.run()
    with run_index.open_run(name) as run:
        said = run.cell(0, 1, 0, 0).predicted
        labels, numbers = run.labels.copy(), run.indices.copy()
    heading = app.subheader[0].value.replace("\\", "")
    assert (
        heading.startswith("FGSM (eps 0.3137), Median filter (known)") and f"{(said == labels).sum()} of 30" in heading
    )
    shown = tiles(app, "Images of the cell")
    assert len(shown) == 12
    first = shown[0]
    assert first["title"] == f"{labels[0]}, test {numbers[0]}"
    word = dict(first["links"])["Grad-CAM"]
    recipe = Recipe.from_link(word.split("recipe=")[1])
    assert recipe.image.index == numbers[0] and recipe.attack.params["eps"] == pytest.approx(80 / 255)
    assert recipe.defenses == ((Method(name="median"),),) and recipe.attacker == "adaptive"
    assert word.startswith("gradcam?") and {title for title, _ in first["links"]} == {"Attack", "Defend", "Grad-CAM"}
    wrong = next(n for n in range(30) if said[n] != labels[n])
    chosen = {
        "points": [{"customdata": [int(labels[wrong]), int(said[wrong]), 1]}],
        "point_indices": [],
        "box": [],
        "lasso": [],
    }
    chart = f"ev_confusion_{name}_{CellKey(0, 1, 0, 'adaptive')}_true_class"
    app.session_state[chart] = {"selection": chosen}
    app.run()
    alike = [n for n in range(30) if labels[n] == labels[wrong] and said[n] == said[wrong]]
    assert [tile["title"] for tile in tiles(app, "Images of the cell")] == [
        f"{labels[n]}, test {numbers[n]}" for n in alike[:12]
    ]


@pytest.mark.parametrize("tab", ["Accuracy by eps", "Recovered and broken", "Certified", "Time"])
def test_every_view_is_drawn(tab: str, done: Plan) -> None:
    app = visit("evaluate", LINK)
    app.session_state["ev_tabs"] = tab
    app.run()
    assert not app.exception
    if tab == "Recovered and broken":
        assert any("breaks" in d.value.columns for d in app.dataframe)
    elif tab == "Certified":
        assert any("This run has no certificates" in str(c.value) for c in app.caption)
    else:
        (chart,) = app.get("plotly_chart")
        spec = json.loads(chart.proto.spec)
        if tab == "Accuracy by eps":  # in MNIST's own unit
            assert spec["layout"]["xaxis"]["title"]["text"] == "eps" and max(spec["data"][0]["x"]) < 1


@pytest.mark.parametrize("measure", ["success", "recovered", "flagged"])
def test_every_measure_fills_the_matrix(measure: str, done: Plan) -> None:
    app = visit("evaluate", LINK)
    app.segmented_control(key=f"ev_measure_{done.name}").set_value(measure).run()
    frame = app.dataframe[0].value
    assert " of " in " ".join(str(value) for value in frame.iloc[1])


def test_a_stopped_run_goes_on(runs: Path) -> None:
    with RunStore.create(PLAN, "cpu") as run:
        evaluate(run, device="cpu", on_progress=lambda advance: advance.done >= 3)
    app = visit("evaluate", LINK)
    assert any("3 of " in str(m.value) for m in app.markdown)
    app.button(key=f"go_{PLAN.name}").click().run()
    waited(app)
    assert run_index.list_runs()[0].done == run_index.list_runs()[0].total


def test_a_run_that_has_just_begun_has_its_matrix_in_its_final_shape(runs: Path) -> None:
    fill(PLAN, most=0)
    at = evaluation_jobs._evaluations()[PLAN.name] = evaluation_jobs.RunningEvaluation(PLAN.name)
    app = visit("evaluate", LINK)
    frame = app.dataframe[0].value
    assert frame.shape == (3, 6) and set(frame.iloc[:, 1:].to_numpy().ravel()) == {"–"}
    assert verdict(app) == "The evaluation is at work; nothing is known yet."
    assert any(str(c.value) == "No image of this cell is evaluated yet." for c in app.caption)
    assert not any(button.key == "so_far" for button in app.button)
    fill(PLAN, most=7)
    app.run()
    assert app.dataframe[0].value.shape == (3, 6) and "25 of 25" in app.dataframe[0].value["no defense"][0]
    assert app.dataframe[0].value["no defense"][0].endswith("25 of 25 so far")
    assert verdict(app).startswith("At work, 7 of 14 parts done, numbers over 25 of 30 images.")
    assert any("running" in str(m.value) or "waiting" in str(m.value) for m in app.markdown)
    at.finished.set()
    app.run()
    assert verdict(app).startswith("Unfinished, 7 of 14 parts done, numbers over 25 of 30 images.")
    assert any("unfinished: 7 of 14 parts are done" in str(m.value) for m in app.markdown)


def test_what_waits_says_for_what(runs: Path) -> None:
    fill(PLAN, most=1)
    evaluation_jobs._evaluations()["other"] = first = evaluation_jobs.RunningEvaluation("other", "somebody")
    evaluation_jobs._evaluations()[PLAN.name] = at = evaluation_jobs.RunningEvaluation(PLAN.name, "me")
    app = visit("evaluate", LINK)
    assert app.get("progress")[0].proto.text == "Waiting: an evaluation of another user has the device"
    first.owner = "me"
    app.run()
    assert app.get("progress")[0].proto.text == "Waiting: an evaluation of yours has the device"
    first.finished.set()
    app.run()
    assert app.get("progress")[0].proto.text == "Waiting for a turn on the device"
    at.finished.set()


def test_nothing_chosen_and_nonsense_get_a_sentence() -> None:
    app = visit("evaluate")
    for widget in app.multiselect:
        if str(widget.key).startswith(("ev_attacks", "ev_defenses")):
            widget.set_value([])
    app.run()
    assert app.button(key="ev_run").disabled
    assert any("Choose an attack, a defense or a certificate" in str(c.value) for c in app.caption)
    app.text_input(key="ev_eps").set_value("many").run()
    app.multiselect(key=next(w.key for w in app.multiselect if str(w.key).startswith("ev_attacks"))).set_value(
        ["FGSM"]
    ).run()
    assert "is no list of numbers" in app.error[0].value
    app.text_input(key="ev_eps").set_value("900").run()
    assert "eps" in app.error[0].value
