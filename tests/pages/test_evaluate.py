"""The Evaluate screen."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.runtime import evaluation_jobs
from core.evaluate import NO_ATTACK, NO_DEFENSE, CellKey, Plan, RunStore, run_index
from core.evaluate.running import evaluate
from core.recipe import Method, Recipe
from core.recipe.view import View
from tests.core.evaluate.filled import fill
from tests.pages.visits import tiles, verdict, visit

PLAN = Plan(
    domain="mnist",
    n_images=30,
    attacks=(
        Method(name="fgsm", params={"eps": 40 / 255}),
        Method(name="fgsm", params={"eps": 80 / 255}),
    ),
    defenses=((Method(name="median"),), (Method(name="bitdepth", params={"bits": 1}),)),
    detectors=(Method(name="feature_squeezing"),),
)
LINK = Recipe(domain="mnist").to_link()


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own for the runs; what a test has begun ends with it."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    yield tmp_path / "runs"
    for at in evaluation_jobs._evaluations().values():
        at.cancel.set()
        at.finished.wait(30)
    evaluation_jobs._evaluations().clear()


@pytest.fixture
def done(runs: Path) -> Plan:
    with RunStore.create(PLAN, "cpu") as run:
        assert evaluate(run, device="cpu")
    return PLAN


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
    assert rows["certified"][0].startswith(f"{100 * count / 6:.1f}% ({count} of 6;") and rows["certified"][1] == "–"
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
    word = dict(first["links"])["Gradient windows"]
    recipe = Recipe.from_link(word.split("recipe=")[1])
    assert recipe.image.index == numbers[0] and recipe.attack.params["eps"] == pytest.approx(80 / 255)
    assert recipe.defenses == ((Method(name="median"),),) and recipe.attacker == "adaptive"
    assert word.startswith("windows?") and {t for t, _ in first["links"]} == {
        "Attack",
        "Defend",
        "Gradient windows",
        "Grad-CAM",
    }
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
        assert len(app.get("plotly_chart")) == 1


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


def test_runs_are_compared_and_deleted(done: Plan) -> None:
    other = done.model_copy(update={"seed": 1})
    with RunStore.create(other, "cpu") as run:
        evaluate(run, device="cpu")
    app = visit("evaluate", LINK)
    frame = next(d.value for d in app.dataframe if "difference" in d.value.columns)
    assert len(frame) == 13 and frame["difference"].str.endswith("points").all()
    app.button(key=f"delete_{done.name}").click().run()
    app.button(key="ev_sure").click().run()
    assert [one.name for one in run_index.list_runs()] == [other.name]


def test_a_damaged_run_says_so_and_can_be_deleted(done: Plan, runs: Path) -> None:
    (runs / "broken.sqlite").write_bytes(b"no results at all" * 50)
    app = visit("evaluate", LINK)
    assert any("damaged" in str(m.value) for m in app.markdown)
    assert verdict(app).startswith("FGSM")
    app.query_params["run"] = "broken"
    app.run()
    assert "damaged" in app.warning[0].value


@pytest.mark.parametrize("name", ["n" * 249, "n" * 4000, "../x", "*a*", "gone", "a\nb", "\ufffd"])
def test_a_link_to_no_run_gets_a_sentence_and_the_rest_of_the_page(name: str, runs: Path) -> None:
    fill(PLAN)
    app = visit("evaluate", LINK)
    app.query_params["run"] = name
    app.run()
    assert not app.exception
    assert "no run called" in app.warning[0].value and len(app.warning[0].value) < 200
    assert verdict(app).startswith("Choose attacks") and app.button(key=f"open_{PLAN.name}")


def test_bad_files_are_lines_that_can_be_deleted(runs: Path) -> None:
    fill(PLAN)
    (runs / "dangling.sqlite").symlink_to(runs / "nowhere")
    (runs / "folder.sqlite").mkdir()
    (runs / os.fsdecode(b"\xff.sqlite")).write_bytes(b"not UTF-8")
    (runs / f"{'*' * 200}\n.sqlite").write_bytes(b"strange")
    app = visit("evaluate", LINK)
    lines = [str(m.value) for m in app.markdown if str(m.value).startswith("✗")]
    assert len(lines) == 4 and all(len(line) < 700 for line in lines)
    for _ in range(4):
        button = next(b for b in app.button if str(b.key).startswith("delete_") and b.key != f"delete_{PLAN.name}")
        button.click().run()
        app.button(key="ev_sure").click().run()
        assert not app.exception
    assert [path.name for path in runs.iterdir()] == [f"{PLAN.name}.sqlite"]
    assert verdict(app).startswith("FGSM")


def test_damage_that_is_met_while_drawing_is_a_sentence(runs: Path) -> None:
    fill(PLAN)
    with closing(sqlite3.connect(runs / f"{PLAN.name}.sqlite")) as base, base:
        base.execute("UPDATE predictions SET predicted = x'00'")
    app = visit("evaluate", LINK)
    assert "damaged" in app.warning[0].value and verdict(app) == "This run cannot be shown."
    assert not app.button(key=f"delete_{PLAN.name}").disabled


def test_where_nothing_can_be_written_the_page_says_so(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.parent.joinpath("file").write_text("no folder")
    monkeypatch.setenv("MIRAGE_DATA", str(runs.parent / "file"))
    app = visit("evaluate", LINK)
    app.button(key="ev_run").click().run()
    assert not app.exception and "cannot be kept in" in app.error[0].value


def test_only_a_run_of_the_recipes_domain_is_opened_by_itself(runs: Path) -> None:
    fill(PLAN)
    other = Plan(n_images=5, attacks=(Method(name="fgsm"),), defenses=())
    fill(other)
    app = visit("evaluate", LINK)
    assert app.button(key=f"open_{PLAN.name}").disabled and not app.button(key=f"open_{other.name}").disabled
    assert any("Runs of other domains (1)" in expander.label for expander in app.expander)
    assert any("images of MNIST" in str(c.value) for c in app.caption)
    app.query_params["run"] = other.name  # a link to it says so
    app.run()
    assert app.button(key=f"open_{other.name}").disabled
    assert any("This run is of Photographs; the sidebar stands at MNIST" in str(i.value) for i in app.info)
    app.selectbox(key="side_domain").set_value("photos").run()  # now they agree
    assert not any("This run is of" in str(i.value) for i in app.info)
    assert app.button(key=f"open_{other.name}").disabled
    app.selectbox(key="side_domain").set_value("mnist").run()  # who leaves a domain leaves its run
    assert app.button(key=f"open_{PLAN.name}").disabled and "run" not in app.query_params
    app.selectbox(key="side_domain").set_value("cifar10").run()
    assert verdict(app).startswith("Choose attacks")
    assert any("No run of CIFAR-10 is kept yet" in str(c.value) for c in app.caption)


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


def test_on_a_shared_server_a_strangers_run_can_only_be_looked_at(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_RUNS", "own")
    fill(PLAN, most=3)
    at = evaluation_jobs._evaluations()[PLAN.name] = evaluation_jobs.RunningEvaluation(PLAN.name, "somebody")
    app = visit("evaluate", LINK)
    assert app.button(key="stop").disabled and verdict(app).startswith("At work")
    at.finished.set()
    app.run()
    keys = {str(button.key) for button in app.button}
    assert f"open_{PLAN.name}" in keys and not keys & {f"delete_{PLAN.name}", f"go_{PLAN.name}"}
    assert any("begun by somebody else" in str(m.value) for m in app.markdown)
    monkeypatch.setenv("MIRAGE_RUNS", "all")
    app.run()
    assert {f"delete_{PLAN.name}", f"go_{PLAN.name}"} <= {str(button.key) for button in app.button}


def test_a_run_that_began_meanwhile_is_not_deleted(runs: Path) -> None:
    fill(PLAN, most=3)
    app = visit("evaluate", LINK)
    app.button(key=f"delete_{PLAN.name}").click().run()
    at = evaluation_jobs._evaluations()[PLAN.name] = evaluation_jobs.RunningEvaluation(
        PLAN.name
    )  # somebody presses Go on
    app.button(key="ev_sure").click().run()
    assert (runs / f"{PLAN.name}.sqlite").exists()
    assert any("at work; stop it" in str(w.value) for w in app.warning)
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
