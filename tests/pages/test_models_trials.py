"""The Models page: two classifiers beside each other, accuracy by eps, and transfer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from app.sections import model_trials
from core.attacks import FGSM
from core.evaluate.eps_curves import accuracy_by_eps
from core.evaluate.transfer import MAX_CLASSIFIERS, transfer_accuracy
from core.inputs import InvalidInput
from core.models import artifacts
from core.recipe import Method, Recipe, craft, load_example
from tests.pages.models import DIGITS, RECIPE, N, arrive, frame, links, plots, run, sentences
from tests.pages.visits import settled, verdict


def test_two_classifiers_on_the_image_and_on_many() -> None:
    app = arrive(tab="Compare two")
    app.selectbox(key="pair_second_mnist_a").select("a_robust")
    settled(app.run())
    example = load_example(RECIPE, device="cpu")
    attacked = craft(RECIPE, example)
    robust = DIGITS.classifier("a_robust", "cpu")
    table = frame(app, "classifier")
    assert list(table["attacker"]) == ["white box", "black box"]
    with torch.no_grad():
        pixels = torch.from_numpy(attacked.adversarial.copy()).permute(2, 0, 1)[None] / 255
        seen = [classifier(pixels).softmax(1)[0] for classifier in (example.classifier, robust)]
    for line, shares in zip(table["adversarial image"], seen, strict=True):
        assert f" {DIGITS.classes[int(shares.argmax())]} " in line
    assert verdict(app).startswith("In the clean image both see a")

    app.number_input(key="pair_count_mnist").set_value(N)
    run(settled(app.run()), "transfer_accuracy")
    images, labels = DIGITS.sample(N, seed=4)
    models = {"a": example.classifier, "a_robust": robust}
    expected = transfer_accuracy(FGSM(eps=0.2), models, images, labels, seed=4)
    assert expected is not None
    table = frame(app, "images")
    own, other = table.columns[1:3]
    for row, on in enumerate((None, "a", "a_robust")):
        for head, judge in ((own, "a"), (other, "a_robust")):
            share = expected.accuracy(judge, on)
            assert table[head][row].endswith(f"{share.successes} of {N}")
        same = expected.agreement("a", "a_robust", on)
        assert table["same prediction"][row].endswith(f"{same.successes} of {N}")
    assert f"of {N} clean images right" in verdict(app)
    assert f"on {N} test images of MNIST, seed 4, no defense" in sentences(app)


def test_accuracy_by_eps_of_several_classifiers() -> None:
    app = arrive(tab="Accuracy by eps")
    assert verdict(app).startswith("Press the button")
    app.multiselect(key="curves_names_mnist_a").set_value(["b", "a_robust"])
    app.text_input(key="curves_eps_mnist_fgsm_").set_value("0.3, 0.1")
    app.number_input(key="curves_count_mnist").set_value(N)
    run(settled(app.run()), "eps_curves")
    images, labels = DIGITS.sample(N, seed=4)
    models = {name: DIGITS.classifier(name, "cpu") for name in ("b", "a_robust")}
    expected = accuracy_by_eps([FGSM(eps=0.1), FGSM(eps=0.3)], models, images, labels, seed=4)
    assert expected is not None
    lines = plots(app)[0]["data"]
    assert [line["name"] for line in lines] == [DIGITS.classifier_title(name) for name in models]
    table = frame(app, "eps")
    assert list(table["eps"]) == ["0", "0.1", "0.3"]
    for name, head in zip(models, table.columns[1:], strict=True):
        counts = [f"{share.successes} of {N}" for share in expected.curve(name)]
        assert [cell.split(", ")[-1] for cell in table[head]] == counts
    assert "at eps 0.3" in verdict(app) and "white box" in sentences(app)


def test_the_matrix_of_transfer() -> None:
    app = arrive(tab="Transfer")
    app.multiselect(key="transfer_names_mnist_a").set_value(["a", "b", "cnn_robust"])
    app.number_input(key="transfer_count_mnist").set_value(N)
    run(settled(app.run()), "transfer_accuracy")
    images, labels = DIGITS.sample(N, seed=4)
    models = {name: DIGITS.classifier(name, "cpu") for name in ("a", "b", "cnn_robust")}
    expected = transfer_accuracy(FGSM(eps=0.2), models, images, labels, seed=4)
    assert expected is not None
    table = frame(app, "crafted on")
    for row, on in enumerate((None, *models)):
        for judge, head in zip(models, table.columns[1:], strict=True):
            share = expected.accuracy(judge, on)
            assert table[head][row].endswith(f"{share.successes} of {N}"), (on, judge)
    assert verdict(app).startswith("Attacked itself, a classifier gets ") and "strongest transfer" in verdict(app)
    assert "The diagonal is the white box" in sentences(app)
    assert len(plots(app)[0]["data"][1]["text"]) == 12


@pytest.mark.parametrize("tab", ["Compare two", "Transfer"])
def test_one_classifier_is_not_enough_and_training_is_offered(tab: str) -> None:
    app = arrive(Recipe(), tab)
    assert "Two classifiers are needed" in verdict(app) and "Photographs has 1 classifier here." in sentences(app)
    assert "Train a classifier" in links(app)


def test_what_cannot_be_attacked_or_read_gets_a_sentence() -> None:
    app = arrive(RECIPE.replace(attack=Method(name="deepfool")), "Accuracy by eps")
    assert verdict(app) == "This attack has no eps, so there is no curve." and "such as PGD" in sentences(app)
    app = arrive(RECIPE, "Accuracy by eps")
    app.text_input(key="curves_eps_mnist_fgsm_").set_value("much")
    settled(app.run())
    assert "is no list of numbers" in sentences(app)
    for typed, said in (
        ("0.1, 0.1, 0", "eps above 0"),
        ("-1", "eps is -1; it must be at least 0"),
        ("1e9", "it must be at most 1."),
        ("nan", "eps is"),
        ("0.1, 5", "eps is 5; it must be at most 1."),
    ):
        app.text_input(key="curves_eps_mnist_fgsm_").set_value(typed)
        settled(app.run())
        assert [said in error.value for error in app.error] == [True], f"{typed}: it is said while the user types"
        assert not app.warning and "models_run_eps_curves" not in [button.key for button in app.button]
    app.text_input(key="curves_eps_mnist_fgsm_").set_value("0.1")
    settled(app.run())
    assert not app.error and app.button(key="models_run_eps_curves")
    app.multiselect(key="curves_names_mnist_a").set_value([])
    settled(app.run())
    assert "Choose at least one classifier." in sentences(app)


def test_a_press_of_the_button_drops_what_was_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter(("The first sentence.", "The second sentence."))

    def refuse(*_args: object) -> None:
        raise InvalidInput(next(said))

    monkeypatch.setattr(model_trials.model_jobs, "start_transfer_accuracy", refuse)
    app = arrive(tab="Transfer")
    for sentence in ("The first sentence.", "The second sentence."):
        app.button(key="models_run_transfer_accuracy").click().run()
        assert [box.value for box in app.warning] == [sentence]


@pytest.mark.parametrize(("tab", "kind"), [("Accuracy by eps", "curves"), ("Transfer", "transfer")])
def test_the_classifier_in_use_takes_part_first(tab: str, kind: str) -> None:
    names = DIGITS.classifier_names()
    last = names[-1]
    assert len(names) > MAX_CLASSIFIERS
    app = arrive(RECIPE.replace(classifier=last), tab)
    chosen = app.multiselect(key=f"{kind}_names_mnist_{last}").value
    assert chosen == [last, *names[: MAX_CLASSIFIERS - 1]]
    words = f"At most {MAX_CLASSIFIERS} of the {len(names)} classifiers here take part; {DIGITS.classifier_title(last)}"
    assert words in sentences(app)


def test_a_classifier_whose_weights_are_damaged_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    network = DIGITS.classifier("a", "cpu").network
    artifacts.save(
        network, "mnist_broken", tmp_path / "artifacts", kind="classifier", title="Broken", domain="mnist", channels=1,
        size=28, architecture="digit_a", mean=(0.1,), std=(0.3,),
    )  # fmt: skip
    (tmp_path / "artifacts" / "mnist_broken.safetensors").write_bytes(b"damaged")
    app = arrive(tab="Compare two")
    app.selectbox(key="pair_second_mnist_a").select("broken")
    settled(app.run())
    assert verdict(app) == "One of these classifiers cannot be used." and "damaged" in sentences(app)


def test_titles_that_are_the_same_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    network = DIGITS.classifier("a", "cpu").network
    title = DIGITS.classifier_title("a")
    artifacts.save(
        network, "mnist_twin", tmp_path / "artifacts", kind="classifier", title=title, domain="mnist", channels=1,
        size=28, architecture="digit_a", mean=(0.1,), std=(0.3,),
    )  # fmt: skip
    app = arrive(tab="Transfer")
    options = list(app.multiselect(key="transfer_names_mnist_a").options)
    assert f"{title} (a)" in options and f"{title} (twin)" in options and len(set(options)) == len(options)


def test_work_that_is_too_long_for_the_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_MOST_SECONDS", "50")
    app = arrive(RECIPE.replace(attack=Method(name="pgd", params={"steps": 60})), "Transfer")
    run(app, "transfer_accuracy")
    assert "Lower the number of images, of classifiers or the steps." in verdict(app) and not plots(app)
