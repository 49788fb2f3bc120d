"""The Models page: the cards, two classifiers beside each other, accuracy by eps, and transfer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app.sections import model_cards, model_trials
from core import domains
from core.attacks import FGSM
from core.evaluate.eps_curves import accuracy_by_eps
from core.evaluate.transfer import MAX_CLASSIFIERS, transfer_accuracy
from core.inputs import InvalidInput
from core.models import artifacts
from core.recipe import Method, Recipe, craft, load_example
from tests.pages.visits import ROOT, settled, verdict

DIGITS = domains.get("mnist")
RECIPE = Recipe(domain="mnist", classifier="a", attack=Method(name="fgsm", params={"eps": 0.2}), defenses=(), seed=4)
N = 8


def arrive(recipe: Recipe = RECIPE, tab: str = "Cards") -> AppTest:
    """A new user on that tab of the page."""
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.query_params["recipe"] = recipe.to_link()
    app.session_state["models_tabs"] = tab
    app.run()
    app.switch_page("pages/models.py")
    app.session_state["models_tabs"] = tab
    return settled(app.run())


def sentences(app: AppTest) -> str:
    """All sentences of the page."""
    elements = (*app.error, *app.warning, *app.info, *app.caption, *app.markdown)
    return "\n".join(str(element.value) for element in elements).replace("\\", "")


def frame(app: AppTest, head: str) -> Any:
    """The table whose first column is called so."""
    return next(table.value for table in app.dataframe if table.value.columns[0] == head)


def plots(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def links(app: AppTest) -> list[str]:
    return [link.proto.label for link in app.get("page_link")]


def run(app: AppTest, kind: str) -> AppTest:
    """The page after its button was pressed and the work is done."""
    return settled(app.button(key=f"models_run_{kind}").click().run())


@pytest.mark.parametrize(
    ("tab", "words", "count"),
    [
        ("Transfer", {"transfer_count_mnist": "37"}, 37),
        ("Transfer", {"transfer_count_mnist": "99999999"}, 100),
        ("Compare two", {"pair_count_mnist": "9", "pair_second_mnist_a": DIGITS.classifier_title("a_robust")}, 9),
    ],
)
def test_a_link_holds_the_tab_the_number_of_images_and_the_second_classifier(
    tab: str, words: dict[str, str], count: int
) -> None:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.run().switch_page("pages/models.py")
    for word, value in {"recipe": RECIPE.to_link(), "models_tabs": tab, **words}.items():
        app.query_params[word] = value
    app = settled(app.run())
    assert next(n.value for n in app.number_input if n.label == "Images") == count
    if tab == "Compare two":
        assert app.selectbox(key="pair_second_mnist_a").value == "a_robust"


def test_the_table_has_every_artifact_and_what_its_card_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    own = DIGITS.classifier("a", "cpu").network
    artifacts.save(
        own, "mnist_mine", tmp_path / "artifacts", kind="classifier", title="Mine", domain="mnist", channels=1, size=28,
        architecture="digit_a", mean=(0.1,), std=(0.3,), seconds=61.5, device="a device", command="train --seed 7",
        metrics=[
            {"what": "right on the test images", "value": 0.9, "correct": 900, "count": 1000},
            {"what": "PGD-20", "value": 0.5, "correct": 100, "count": 200},
            {"what": "worst case of APGD and Square", "value": 0.995, "correct": 199, "count": 200, "eps": 0.3},
        ],
    )  # fmt: skip
    app = arrive()
    table = frame(app, "Model")
    listed = [item for kind in model_cards.KINDS for item in artifacts.list_artifacts(kind, "mnist")]  # type: ignore[arg-type]
    assert list(table["Name"]) == [item.name for item in listed] and "mnist_mine" in list(table["Name"])
    mine = table[table["Name"] == "mnist_mine"].iloc[0]
    assert (mine["Clean (%)"], mine["Robust (%)"], mine["Robust images"]) == (90.0, 99.5, 200)
    assert (mine["Robust under"], mine["Training (s)"]) == ("worst case of APGD and Square", 61.5)
    size = (tmp_path / "artifacts" / "mnist_mine.safetensors").stat().st_size
    assert mine["File (MB)"] == round(size / 1e6, 2) and mine["Comes with"] == "your folder"
    kernels = table[table["Name"] == "dkn_mnist_a"].iloc[0]
    assert kernels["Robust under"].endswith(", adaptive") and kernels["Robust (%)"] < 5, "not the grey box"
    assert all(str(table[head].dtype) in ("float64", "int64") for head in ("Clean (%)", "Robust (%)", "Parameters"))
    assert mine["eps"] == "0.3" and table[table["Name"] == "mnist_cnn_robust"].iloc[0]["eps"] == "0.2"
    most = "Most robust under the worst case at eps 0.3, of 2 that were measured: Mine (99.5 %, 199 of 200 images)"
    assert most in verdict(app)
    rows = model_cards.rows_of(listed)
    assert rows[0]["Robust (%)"] is None or rows[0]["Robust under"]

    app.selectbox(key="models_card").select("classifier mnist_mine")
    settled(app.run())
    metrics = frame(app, "measured")
    assert list(metrics["value"]) == [
        "90.0 % (88-92), 900 of 1,000",
        "50.0 % (43-57), 100 of 200",
        "99.5 % (97-100), 199 of 200",
    ]
    assert "- seed: 7" in sentences(app) and "- training: 1 min 1 s on a device" in sentences(app)
    assert "- license: the card does not say" in sentences(app) and app.code[0].value == "train --seed 7"
    app.button(key="models_use").click()
    settled(app.run())
    assert Recipe.from_link(app.query_params["recipe"]).classifier == "mine"

    app.segmented_control(key="models_kind").set_value("denoiser")
    settled(app.run())
    assert set(frame(app, "Model")["Kind"]) == {"denoiser"}
    app.segmented_control(key="models_domain_mnist").set_value(model_cards.ALL)
    settled(app.run())
    assert len(set(frame(app, "Model")["Domain"])) > 2


def test_a_domain_without_a_model_of_that_kind_says_so() -> None:
    app = arrive(Recipe())
    assert verdict(app).startswith("Photographs: 1 classifier. ")
    app.segmented_control(key="models_kind").set_value("denoiser")
    settled(app.run())
    assert "There is no such model here." in sentences(app) and "Train one" in links(app)


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


def test_the_cards_open_on_the_classifier_in_use() -> None:
    app = arrive(RECIPE.replace(classifier="b"))
    assert app.selectbox(key="models_card").value == "classifier mnist_b"
    app.selectbox(key="models_card").select("classifier mnist_a_robust")
    settled(app.run())
    assert app.selectbox(key="models_card").value == "classifier mnist_a_robust", "a choice stays"
    app.button(key="models_use").click()
    settled(app.run())
    assert app.selectbox(key="models_card").value == "classifier mnist_a_robust"


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
