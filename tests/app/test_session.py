"""What a user keeps, and what happens to downloads, stops and failures."""

from __future__ import annotations

import copy
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.runtime import jobs
from app.runtime.device_lock import EVALUATION
from app.state import model_cache, result_keys, results
from core import Recipe, domains, run
from core.analysis.feature_noise import LayerMaps
from core.domains.imagenet import ImageNet
from core.inputs import InvalidInput
from core.models import artifacts
from core.progress import OnProgress, Progress
from core.recipe import Method, load_example
from core.recipe.columns import MemberSpec, SystemSpec
from tests.pages.visits import settled, verdict, visit


def test_results_are_bounded_by_number_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    held: dict[str, Any] = {}
    monkeypatch.setattr(results.st, "session_state", held)
    keys = [result_keys.data_set(str(number)) for number in range(results.MAX_RESULTS + 4)]
    for key in keys[:-1]:
        results.put(key, True)
    assert list(results.results()) == keys[3:-1]
    monkeypatch.setattr(results, "size_of", lambda result: results.MAX_BYTES // 2)
    results.put(keys[-1], True)
    assert list(results.results()) == keys[-2:]


def test_keys_depend_on_what_the_stage_depends_on() -> None:
    one = Recipe()
    other = one.replace(defenses=(), attacker="both")
    assert result_keys.attack(one) == result_keys.attack(other)
    assert result_keys.example(one) == result_keys.example(one.replace(seed=1))
    assert result_keys.attack(one) != result_keys.attack(one.replace(seed=1))
    assert result_keys.defenses(one, "grey") != result_keys.defenses(one, "adaptive")
    adaptive = one.replace(attacker="adaptive")
    assert result_keys.known_attack(one) == result_keys.attack(one) != result_keys.known_attack(adaptive)


def test_a_shelf_keeps_the_classifiers_used_last() -> None:
    cache = model_cache.ModelCache(capacity=1)
    photos, digits = (("photos", "photonet", "cpu", ""), ("mnist", "digits", "cpu", ""))
    first = cache.load(photos)
    assert cache.load(photos) is first
    cache.load(digits)
    assert cache.get(photos) is None and list(cache.models) == [digits]


def test_weights_trained_anew_under_the_same_name_take_the_place_of_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classifier in memory and every result that it had a part in."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    network = copy.deepcopy(domains.get("mnist").classifier("b", "cpu").network)
    cache, key = model_cache.ModelCache(), ("mnist", "mine", "cpu", str(tmp_path))
    vote = SystemSpec(members=(MemberSpec(), MemberSpec(classifier="mine")))

    def saved() -> list[object]:
        artifacts.save(
            network, "mnist_mine", tmp_path / "artifacts", kind="classifier", title="Mine", domain="mnist", channels=1,
            size=28, architecture="digit_b", mean=(0.1,), std=(0.3,),
        )  # fmt: skip
        own = Recipe(domain="mnist", classifier="mine", attack=Method(name="fgsm"))
        other = own.replace(classifier="b", defenses=(vote,), attacker="adaptive")
        assert result_keys.attack(other) == result_keys.attack(other.replace(defenses=())), "without a part in it"
        keys = [
            *(result_keys.example(own), result_keys.attack(own), result_keys.comparison(own)),
            *(result_keys.known_attack(other), result_keys.defenses(other, "grey"), result_keys.defense_grid(other, 4)),
            *(result_keys.transfer_accuracy(own, ["b", "mine"], 9, "test"), result_keys.transfer(other)),
        ]
        return [cache.load(key), *map(str, keys)]

    before = saved()
    assert saved() == before
    with torch.no_grad():
        next(network.parameters()).add_(0.1)
    after = saved()
    assert not any(one == two for one, two in zip(before, after, strict=True))
    assert cache.load(key) is after[0] and len(cache.models) == 1


def test_a_stop_before_its_turn_is_not_begun_again() -> None:
    app = visit()
    with jobs._device().turn(EVALUATION, "an evaluation is running"):  # somebody else's work
        app.session_state["recipe"] = Recipe(attack=Method(name="fgsm"))
        app.switch_page("pages/attack.py").run()
        job = app.session_state["job"]
        waits = "Waiting for the device: an evaluation is running"
        assert any(waits in progress.text for progress in app.get("progress"))
        job.cancel.set()
    assert job.finished.wait(5)
    settled(app.run())
    assert verdict(app) == "Press Run to attack this image."
    app.button(key="run").click()
    settled(app.run())
    assert "the classifier sees" in verdict(app)


def test_weights_come_with_progress_and_can_be_stopped_and_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    asked = []

    def slow(self: ImageNet, name: str | None, device: str | None, on_progress: OnProgress) -> None:
        asked.append(name)
        for done in range(1000):
            if on_progress(Progress("", done * 10**6, 1000 * 10**6)):
                raise InvalidInput("The download was stopped.")
            time.sleep(0.01)

    monkeypatch.setattr(ImageNet, "classifier", slow)
    app = visit(recipe=Recipe(domain="imagenet").to_link())
    words = [progress.text for progress in app.get("progress")]
    assert any("Getting ResNet-50" in text and "MB" in text for text in words), words
    assert not app.error and len(asked) == 1
    job = app.session_state["download"]
    app.button(key="stop_download").click().run()
    assert job.finished.wait(5)
    app.run()
    assert [warning.value for warning in app.warning] == ["The download was stopped."]
    app.run()
    assert len(asked) == 1
    app.button(key="retry").click().run()
    assert len(asked) == 2
    app.session_state["download"].cancel.set()
    app.selectbox(key="side_domain").set_value("photos").run()
    assert verdict(settled(app)).startswith("The classifier sees a cat")


def test_an_attack_does_not_stop_a_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    go_on = threading.Event()
    monkeypatch.setattr(type(domains.get("mnist")), "fetch", lambda self, on_progress: go_on.wait(20))
    app = visit(recipe=Recipe(domain="mnist").to_link())
    app.button(key="fetch").click().run()
    download = app.session_state["download"]
    app.number_input(key="side_seed").set_value(5).run()
    settled(app)
    assert download.is_alive and not download.cancel.is_set()
    assert any("Downloading MNIST" in progress.text for progress in app.get("progress"))
    go_on.set()
    assert download.finished.wait(5)
    app.run()
    assert not app.exception and "download" not in app.session_state


def test_every_kind_of_result_counts_with_all_its_arrays() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    recipe = Recipe(attack=Method(name="pgd", params={"steps": 3}), defenses=((Method(name="jpeg"),),), attacker="both")
    outcome = run(recipe, device="cpu")
    attacked = outcome.attacked
    least = attacked.adversarial.nbytes * (1 + len(attacked.trace.snapshots))
    assert least <= results.size_of(attacked) <= least + 10_000
    assert results.size_of(outcome.columns) > 5 * image.nbytes + results.size_of(outcome.columns[0].adaptive)
    assert results.size_of({"a": (image, torch.zeros(7)), "b": None}) == image.nbytes + 28
    assert results.size_of(LayerMaps(image, image, image)) == 3 * image.nbytes  # any dataclass, also one of tomorrow
    example = load_example(recipe, device="cpu")
    assert results.size_of(example) < 2 * example.clean.nbytes + 1000  # its classifier is kept elsewhere
