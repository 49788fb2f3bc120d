"""The screen of the detectors."""

from __future__ import annotations

import pytest
import torch

from core import detectors, domains, images
from core.attacks import PGD
from core.detectors import FeatureSqueezing, MaskDisagreement
from core.evaluate.detector_benchmark import benchmark_detector
from core.recipe import Method, Recipe, craft, load_example
from tests.pages.visits import settled, tiles, verdict, visit

RECIPE = Recipe(domain="mnist", classifier="a", attack=Method(name="pgd", params={"eps": "64/255", "steps": 20}))


@pytest.mark.parametrize(
    ("name", "kind"), [("mnist_a_fc_3", "mask_disagreement"), ("mnist_a_conv_3", "convolutional_masks")]
)
def test_the_image_at_hand_with_the_evidence(name: str, kind: str) -> None:
    app = visit("detect", RECIPE.to_link())
    assert app.button_group(key="detector_mnist").value == "mask_disagreement", "the paper's first"
    app.button_group(key="detector_mnist").set_value(kind)
    settled(app.run())
    example = load_example(RECIPE, device="cpu")
    attacked = craft(RECIPE, example)
    detector = detectors.get(kind)(example.classifier, weights=name)
    rows = app.dataframe[0].value
    for n, pixels in enumerate((example.clean, attacked.adversarial)):
        with torch.no_grad():
            score = float(detector.score(images.to_tensor(pixels)))
            read = example.classifier.classes[int(detector.corrected_label(images.to_tensor(pixels)))]
        assert rows.iloc[n]["score"] == f"{score:.2f}" and rows.iloc[n]["mask reads"] == read
        assert rows.iloc[n]["verdict"] == ("flagged" if score > 0 else "passes")
    assert "mask" in tiles(app, "What the detector goes by, adversarial")[1]["title"]


def test_squeezing_has_a_threshold_from_clean_images() -> None:
    app = visit("detect", RECIPE.to_link())
    app.button_group(key="detector_mnist").set_value("feature_squeezing")
    settled(app.run())
    classifier = domains.get("mnist").classifier("a", "cpu")
    calm, _ = domains.get("mnist").sample(200, split="train", seed=1)
    threshold = FeatureSqueezing(classifier).threshold(calm)
    assert app.dataframe[0].value.iloc[0]["threshold"] == f"{threshold:.2f}"
    assert any("at most 5 % of 200 clean images of 'train'" in caption.value for caption in app.caption)
    app.slider(key="detect_share").set_value(0.3)
    settled(app.run())
    assert float(app.dataframe[0].value.iloc[0]["threshold"]) <= threshold


def test_a_trial_of_both_attackers_and_a_threshold_that_moves() -> None:
    app = visit("detect", RECIPE.to_link())
    app.number_input(key="detect_count_mnist").set_value(30)
    app.run()
    app.button(key="detect_run").click()
    settled(app.run())
    domain = domains.get("mnist")
    batch, labels = domain.sample(30, seed=0)
    detector = MaskDisagreement(domain.classifier("a", "cpu"), weights="mnist_a_fc_3")
    trial = benchmark_detector(detector, PGD(eps="64/255", steps=20), batch, labels, threshold=0.0, seed=0)
    assert trial is not None
    rows = app.dataframe[1].value
    for n, side in enumerate((trial.oblivious, trial.adaptive)):
        assert rows.iloc[n]["fooled"] == f"{int(trial.fooled(side).sum())} of {len(trial.labels)}"
        assert rows.iloc[n]["true positive"] == str(trial.true_positive(side, 0.0))
        assert rows.iloc[n]["fooled and unnoticed"] == str(trial.evasion_rate(side, 0.0))
    known = trial.true_positive(trial.adaptive, 0.0)
    assert f"Known to the attacker, {known.successes} of {known.count}" in verdict(app)
    assert any("does not hold" in warning.value for warning in app.warning)
    slider = next(s for s in app.slider if str(s.key).startswith("detect_threshold"))
    slider.set_value(slider.max)
    settled(app.run())
    assert app.dataframe[1].value.iloc[0]["true positive"].startswith("0.0 %")
    assert app.dataframe[1].value.iloc[0]["true negative"].startswith("100.0 %")


def test_an_attack_that_makes_one_change_for_all_is_not_put_on_trial() -> None:
    recipe = Recipe(domain="mnist", attack=Method(name="universal_patch", params={"steps": 5}))
    app = visit("detect", recipe.to_link())
    assert any("one change for all" in info.value for info in app.info)
    with pytest.raises(KeyError):
        app.button(key="detect_run")
