"""The Evaluate page: its list of runs, damaged files, links, and other people's runs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.runtime import evaluation_jobs
from core.evaluate import Plan, RunStore, run_index
from core.evaluate.running import evaluate
from core.recipe import Method
from tests.core.evaluate.filled import fill
from tests.pages.evaluation import LINK, PLAN
from tests.pages.visits import verdict, visit

pytestmark = pytest.mark.usefixtures("runs")


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
