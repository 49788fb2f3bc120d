"""The Training page: its form, plans, and a training from its start to its use."""

from __future__ import annotations

import errno
import json
from typing import Any

import pytest

from app.runtime import jobs
from app.sections import training_form
from app.state.result_keys import data_set
from core import domains
from core.models import artifacts
from core.recipe import Recipe
from core.training import runs
from core.training.run_status import Status
from tests.core.training.test_runs import data, wait_for  # noqa: F401  (a fixture)
from tests.pages.training import TINY, arrive, field, opened, sentences, upload, write_run
from tests.pages.visits import verdict

pytestmark = pytest.mark.usefixtures("data")


def test_the_first_visit_says_what_to_do() -> None:
    app = arrive()
    assert verdict(app) == "Train a classifier, a denoiser or attention masks, and use what comes of it at once."
    assert "choose a plan and press Start" in sentences(app) and "No training is kept yet" in sentences(app)
    box = app.selectbox(key="tr_plan_classifier_mnist")
    titles = list(box.options)
    assert titles[0].startswith("MNIST: ") and any(title.startswith("CIFAR-10: ") for title in titles)
    first_other = next(n for n, title in enumerate(titles) if not title.startswith("MNIST: "))
    assert not any(title.startswith("MNIST: ") for title in titles[first_other:])


def test_a_job_that_fails_meanwhile_loses_no_click() -> None:
    app = opened(epochs=400)
    job = jobs.Job(data_set("mnist"), "work", "failed", error="The work failed.")
    job.finished.set()
    app.session_state["job"] = job
    app.button(key="tr_start").click().run()
    assert not app.exception and "training" in app.query_params, sentences(app)
    assert "The work failed." in sentences(app)


def test_a_tiny_training_is_started_watched_stopped_resumed_and_used() -> None:
    app = opened(epochs=400)
    text = sentences(app)
    assert "Trains a classifier of MNIST, with the architecture tiny" in text
    assert "It takes 400 epochs over 1,437 images: 4,800 steps of 128 images" in text
    app.button(key="tr_start").click().run()
    assert not app.exception and "training" in app.query_params, sentences(app)
    assert app.query_params["training"] in ("mnist_tiny", ["mnist_tiny"])
    wait_for("mnist_tiny", lambda run: run.status.step > 30)
    app.run()
    assert verdict(app).startswith("mnist_tiny is ") and "through its training" in verdict(app)
    assert len(app.get("plotly_chart")) == 2 and len(app.image) >= 1
    assert app.button(key="tr_start").disabled and "'mnist_tiny' is running" in sentences(app)
    assert field(app, "_name").value == "mnist_tiny_2"
    assert "steps" in app.get("progress")[0].proto.text
    app.button(key="stop").click().run()
    wait_for("mnist_tiny", lambda run: run.status.state == "stopped")
    app.run()
    assert verdict(app).startswith("mnist_tiny was stopped at ")
    app.button(key="go_mnist_tiny").click().run()
    wait_for("mnist_tiny", lambda run: run.status.state == "running" and run.status.step > 30)
    runs.stop("mnist_tiny")
    wait_for("mnist_tiny", lambda run: run.status.state == "stopped")
    app.run()
    app.button(key="delete_mnist_tiny").click().run()
    app.button(key="tr_sure").click().run()
    assert runs.list_runs() == [] and not app.exception

    field(app, "_epochs").set_value(2)
    field(app, "_name").set_value("mnist_mine")
    app.run()
    assert "It takes 2 epochs" in sentences(app)
    app.button(key="tr_start").click().run()
    done = wait_for("mnist_mine", lambda run: run.status.state == "done")
    app.run()
    assert done.plan is not None and done.plan.title == "Tiny (mnist_mine)" and done.plan.stages[0].epochs == 2
    figures = artifacts.find_artifact("classifier", "mnist_mine").card.figures()
    assert verdict(app) == f"mnist_mine is trained: {figures}."
    assert "It is in the list of classifiers now." in sentences(app)
    link = app.get("page_link")[0].proto
    assert Recipe.from_link(link.query_string.split("recipe=")[1]) == Recipe(domain="mnist", classifier="mine")
    assert "mine" in domains.get("mnist").classifier_names()


def test_parameters_become_the_plan() -> None:
    app = arrive()
    app.segmented_control(key="tr_kind").set_value("denoiser").run()
    box = app.selectbox(key="tr_plan_denoiser_mnist")
    box.set_value("hgd_cifar10_vgg").run()
    text = sentences(app)
    assert "It stands before the classifier VGG, which stays as it is" in text
    assert "First FGSM and PGD attack all training images once" in text and "CIFAR-10 is not on this machine" in text
    assert app.button(key="tr_start").disabled and app.button(key="fetch_for_training").label.startswith("Download")
    for word, value in (("_batch", 64), ("_max_lr", 0.001), ("_seed", 7), ("_of_clean", 0.4)):
        field(app, word).set_value(value)
    app.run()
    assert not app.error, app.error


def test_what_stands_unchanged_is_the_plan_as_it_ships() -> None:
    made: list[Any] = []

    def remember(domain: str) -> Any:
        made.append(original(domain))
        return made[-1]

    original = training_form.settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_form, "settings", remember)
        app = arrive()
        box = app.selectbox(key="tr_plan_classifier_mnist")
        box.set_value("mnist_a").run()
    from core.training import find_plan

    assert made[-1].name == "mnist_a_2" and made[-1].title == "Model A (mnist_a_2)"
    same = {"name": "mnist_a", "title": "Model A"}
    assert made[-1].model_copy(update=same) == find_plan("mnist_a")


def test_a_plan_that_needs_weights_which_are_not_here_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from core.training import PLANS

    monkeypatch.setitem(
        PLANS, "fl_mnist_none", {**PLANS["fl_mnist_cnn"], "name": "fl_mnist_none", "trained_against": "none"}
    )
    app = arrive()
    app.segmented_control(key="tr_kind").set_value("denoiser").run()
    app.selectbox(key="tr_plan_denoiser_mnist").set_value("fl_mnist_none").run()
    assert not app.exception and "MNIST has no classifier called 'none'" in app.info[0].value.replace("\\", "")
    assert app.button(key="tr_start").disabled


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mnist_a", "'mnist_a' ships with Mirage; choose another name"),
        ("tiny", "is named mnist_NAME"),
        ("", "A name has 1 to 80 letters"),
        ("mnist_../x", "A name has 1 to 80 letters"),
        ("mnist_<b>", "A name has 1 to 80 letters"),
        ("mnist_kept", "There is a training called 'mnist_kept' already"),
    ],
)
def test_a_name_that_is_refused_gets_a_sentence(name: str, sentence: str) -> None:
    write_run(Status("stopped"), "mnist_kept")
    app = opened()
    field(app, "_name").set_value(name).run()
    assert not app.exception and sentence in app.error[0].value.replace("\\", "")
    assert app.button(key="tr_start").disabled


def test_a_number_that_is_refused_gets_a_sentence() -> None:
    app = opened()
    field(app, "_max_lr").set_value(0.0).run()
    assert not app.exception and "max_lr" in app.error[0].value.replace("\\", "")
    assert app.button(key="tr_start").disabled


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "must be an object"),
        (b"{}", "is missing"),
        (b" " * 300_000, "A plan has at most 200 kB"),
        (json.dumps({"name": "../x", "stages": []}).encode(), "name is"),
        (TINY.replace('"digits"', '"../../etc"').encode(), "no training data called"),
        (TINY.replace("0.02", "1e999").encode(), "max_lr"),
        (TINY.replace('"tiny"', '"os.system"').encode(), "No classifier has the architecture"),
        (TINY.replace('"Tiny"', json.dumps("x" * 200)).encode(), "title"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hostile_plan_gets_a_sentence(content: bytes, sentence: str) -> None:
    app = upload(arrive(), content, "<b>.json")
    assert sentence in app.error[0].value.replace("\\", "") and len(app.error[0].value) < 900
    assert app.button(key="tr_start").disabled


def test_where_nothing_can_be_written_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened()

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("core.disk.write_whole", full)
    app.button(key="tr_start").click().run()
    assert not app.exception
    assert "cannot be started: No space left on device. Free some space" in app.error[0].value.replace("\\", "")
