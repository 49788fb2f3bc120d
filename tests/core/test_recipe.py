"""Recipes: JSON and links in and out, refusals in sentences, and runs that repeat."""

from __future__ import annotations

import base64
import json
import math
from functools import partial

import numpy as np
import pytest
import torch

from core import Classifier, InvalidInput, Outcome, Recipe, domains, images, run
from core.analysis.class_maps import explain
from core.analysis.comparison import transfer
from core.diagnostics import GradientStats
from core.explain.layers import layers
from core.recipe import ImageRef, Method, Progress, craft, evaluate_defenses, load_example, make_outcome, sweep

QUICK = {
    "attack": {"name": "pgd", "params": {"eps": "8/255", "steps": 3}},
    "defenses": [[{"name": "jpeg"}, {"name": "lgs"}]],
}


def test_json_and_link_give_the_same_recipe_back() -> None:
    recipe = Recipe(**QUICK, seed=7, target="coffee", attacker="both", image=ImageRef(name="rocket", fit="pad"))
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.from_link(recipe.to_link()) == recipe
    assert Recipe.from_link(Recipe().to_link()) == Recipe()
    assert set(recipe.to_link()) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"domain": "letters"}, "photos"),
        ({"domain": "photos", "classifier": "../../etc/passwd"}, "photonet"),
        ({"attack": {"name": "os.system"}}, "pgd"),
        ({"attack": {"name": "pgd", "params": {"eps": -1}}}, "at least 0"),
        ({"attack": {"name": "pgd", "params": {"eps": "many"}}}, "eps"),
        ({"attack": {"name": "pgd", "params": {"epsilon": 0.1}}}, "epsilon"),
        ({"defenses": [[{"name": "magic"}]]}, "jpeg"),
        ({"defenses": [[]]}, "1 to 6"),
        ({"defenses": [[{"name": "jpeg", "params": {"quality": 0}}]]}, "at least 1"),
        ({"target": "unicorn"}, "unicorn"),
        ({"image": {"kind": "file", "name": "/etc/passwd"}}, "kind"),
        ({"image": {"name": "nobody"}}, "nobody"),
        ({"seed": -1}, "seed"),
        ({"color": "red"}, "color"),
    ],
)
def test_what_is_not_in_the_registries_is_refused_in_words(values: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Recipe(**values)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    "word",
    [
        "!",
        "%%%",
        "a" * 9000,
        "bm90IGpzb24",
        base64.urlsafe_b64encode(b"[1]").decode(),
        base64.urlsafe_b64encode(b"[" * 5000).decode(),
    ],
)
def test_damaged_links_are_refused_in_one_sentence(word: str) -> None:
    with pytest.raises(InvalidInput):
        Recipe.from_link(word)


def test_the_same_recipe_gives_the_same_outcome() -> None:
    recipe = Recipe(**QUICK, seed=3)
    first, second = run(recipe, device="cpu"), run(recipe, device="cpu")
    assert np.array_equal(first.attacked.adversarial, second.attacked.adversarial)
    assert first.attacked.trace.loss == second.attacked.trace.loss
    assert first.columns[0].grey is not None and second.columns[0].grey is not None
    assert np.array_equal(first.columns[0].grey.defended, second.columns[0].grey.defended)
    other = run(recipe.replace(seed=4), device="cpu")
    assert not np.array_equal(first.attacked.adversarial, other.attacked.adversarial)


def test_an_outcome_says_what_its_saved_image_gives() -> None:
    outcome = run(Recipe(**QUICK), device="cpu")
    example = load_example(outcome.recipe, device="cpu")
    saved = images.decode(images.png(outcome.attacked.adversarial))
    logits = example.classifier(images.to_tensor(saved))[0].softmax(0)
    assert int(logits.argmax()) == outcome.attacked.prediction.label
    assert float(logits.max()) == pytest.approx(outcome.attacked.prediction.confidence, abs=1e-4)
    again = Outcome.from_json(outcome.to_json())
    assert again.recipe == outcome.recipe
    assert np.array_equal(again.attacked.adversarial, outcome.attacked.adversarial)
    assert json.loads(outcome.to_json())["attacked"]["prediction"]["label"] == outcome.attacked.prediction.label
    assert outcome.attacked.norms.linf <= 8 / 255 + 1e-6


def test_watching_sees_every_step_and_stopping_keeps_what_was_found() -> None:
    seen: list[Progress] = []
    recipe = Recipe(attack=Method(name="pgd", params={"steps": 30, "early_stop": False}))
    outcome = run(recipe, device="cpu", on_progress=lambda p: seen.append(p) or len(seen) >= 5)
    assert [p.done for p in seen] == [0, 1, 2, 3, 4]
    assert outcome.attacked.stopped
    assert outcome.attacked.iterations == 4
    assert outcome.attacked.trace.numbers == (0, 1, 2, 3, 4)
    assert outcome.attacked.adversarial.shape == outcome.clean.shape


def test_frames_of_a_long_attack_stay_bounded_and_keep_both_ends() -> None:
    recipe = Recipe(attack=Method(name="pgd", params={"steps": 300, "early_stop": False}), domain="mnist", defenses=())
    trace = run(recipe, device="cpu").attacked.trace
    assert len(trace.numbers) == 301
    assert len(trace.snapshots) <= 121
    assert trace.snapshot_steps[0] == 0
    assert trace.snapshot_steps[-1] == 300


def test_both_attackers_stand_in_their_own_fields() -> None:
    outcome = run(Recipe(**QUICK, attacker="both"), device="cpu")
    (column,) = outcome.columns
    assert column.grey is not None and column.grey.attack is None
    assert column.adaptive is not None and column.adaptive.attack is not None
    assert column.adaptive.recovered == (column.adaptive.prediction.label == outcome.label)
    if column.adaptive.attack.success:
        assert not column.adaptive.recovered
    grey = run(Recipe(**QUICK), device="cpu").columns[0]
    assert grey.adaptive is None


def test_a_sweep_gives_one_point_a_value() -> None:
    recipe = Recipe(**QUICK)
    example = load_example(recipe, device="cpu")
    attacked = craft(recipe, example)
    points = sweep(recipe, example, attacked, "jpeg", "quality", (10, 50, 95))
    assert points is not None
    assert [p.value for p in points] == [10, 50, 95]
    clean = [float(np.abs(p.clean.defended.astype(int) - example.clean).mean()) for p in points]
    assert clean[0] > clean[1] > clean[2]
    with pytest.raises(InvalidInput):
        sweep(recipe, example, attacked, "jpeg", "quality", (101,))
    looks: list[Progress] = []

    def stop_at_the_second(progress: Progress) -> bool:
        looks.append(progress)
        return progress.done == 1

    assert sweep(recipe, example, attacked, "jpeg", "quality", (10, 50, 95), on_progress=stop_at_the_second) is None
    assert [(look.done, look.total) for look in looks] == [(0, 3), (1, 3)]


def test_an_image_without_a_label_is_judged_by_what_the_classifier_says() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 80, 3), dtype=np.uint8)
    recipe = Recipe(**QUICK, image=ImageRef(kind="upload", digest="0" * 64))
    example = load_example(recipe, device="cpu", uploads={"0" * 64: pixels})
    assert not example.label_known
    assert example.label == example.clean_prediction.label
    assert len(evaluate_defenses(recipe, example, craft(recipe, example))) == 1
    with pytest.raises(InvalidInput, match="upload"):
        load_example(recipe, device="cpu")
    assert example.known_label is None
    outcome = make_outcome(recipe, example, craft(recipe, example), ())
    assert outcome.known_label is None and not Outcome.from_json(outcome.to_json()).label_known
    seen = example.classifier.classes[example.label]
    with pytest.raises(InvalidInput, match="in the clean image already"):
        craft(recipe.replace(target=seen), example)
    with pytest.raises(InvalidInput, match="true class of this image is unknown"):
        layer = layers(example.classifier)[-1]
        explain(recipe, example, craft(recipe, example), method="gradcam", layer=layer, about="true")


def test_the_recipe_can_say_the_true_class_of_an_unlabeled_image() -> None:
    uploads = {"0" * 64: np.random.default_rng(0).integers(0, 255, (50, 80, 3), dtype=np.uint8)}
    recipe = Recipe(**QUICK, image=ImageRef(kind="upload", digest="0" * 64))
    for word in ("rocket", "3"):
        said = recipe.replace(true_class=word)
        example = load_example(said, device="cpu", uploads=uploads)
        assert example.known_label == 3
        assert Recipe.from_link(said.to_link()) == said
        with pytest.raises(InvalidInput, match="own class"):
            craft(said.replace(target="rocket"), example)
    assert "true_class" not in json.loads(base64.b64decode(recipe.to_link() + "=="))
    known = Recipe(**QUICK, true_class="rocket")
    assert load_example(known, device="cpu").label == 0, "the domain knows that it is a cat"
    with pytest.raises(InvalidInput, match="no class of Photographs"):
        recipe.replace(true_class="unicorn")


def test_an_unlabeled_image_transfers_from_what_each_classifier_sees() -> None:
    five = domains.get("mnist").gallery_pixels("1")  # a 5 that two of the classifiers take for other digits
    uploads = {"0" * 64: five.repeat(3, 2)}
    recipe = Recipe(domain="mnist", attack=Method(name="fgsm"), image=ImageRef(kind="upload", digest="0" * 64))
    examples = {
        n: load_example(recipe.replace(classifier=n), device="cpu", uploads=uploads) for n in ("a", "b", "digits")
    }
    assert len({example.label for example in examples.values()}) > 1
    found = transfer(recipe, {name: partial(examples.get, name) for name in examples})  # type: ignore[arg-type]
    assert found.label is None and len(found.predictions) == 3


def test_a_target_that_is_the_images_own_class_is_refused() -> None:
    with pytest.raises(InvalidInput, match="own class"):
        run(Recipe(target="cat"), device="cpu")


def test_an_outcome_with_values_that_are_no_numbers_is_written_and_read_back() -> None:
    outcome = run(Recipe(**QUICK), device="cpu")
    trace = outcome.attacked.trace.model_copy(update={"loss": (math.inf, -math.inf, math.nan, 1.5)})
    attacked = outcome.attacked.model_copy(
        update={
            "trace": trace,
            "prediction": outcome.attacked.prediction.model_copy(update={"confidence": math.nan}),
            "gradient": GradientStats(zero=math.nan, smallest=math.inf),
        }
    )
    odd = outcome.model_copy(update={"attacked": attacked})
    text = odd.to_json()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    again = Outcome.from_json(text)
    assert again == odd and again.to_json() == text and again != outcome
    assert again.attacked.trace.loss[:2] == (math.inf, -math.inf) and math.isnan(again.attacked.trace.loss[2])


class _Nan(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :1].repeat(1, 10) * torch.nan


def test_a_classifier_that_answers_with_nan_is_refused_with_a_sentence() -> None:
    classifier = Classifier.wrap(_Nan(), classes=10, size=28, channels=1)
    for attack in ("pgd", "fgsm", "cw", "deepfool"):
        with pytest.raises(InvalidInput, match="NaN or infinite logits"):
            run(Recipe(domain="mnist", attack=Method(name=attack), defenses=()), device="cpu", classifier=classifier)
