"""The Models page: its tabs and the cards."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.sections import model_cards
from core.models import artifacts
from core.recipe import Recipe
from tests.pages.models import DIGITS, RECIPE, arrive, frame, links, sentences
from tests.pages.visits import ROOT, settled, verdict


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


def test_the_cards_open_on_the_classifier_in_use() -> None:
    app = arrive(RECIPE.replace(classifier="b"))
    assert app.selectbox(key="models_card").value == "classifier mnist_b"
    app.selectbox(key="models_card").select("classifier mnist_a_robust")
    settled(app.run())
    assert app.selectbox(key="models_card").value == "classifier mnist_a_robust", "a choice stays"
    app.button(key="models_use").click()
    settled(app.run())
    assert app.selectbox(key="models_card").value == "classifier mnist_a_robust"
