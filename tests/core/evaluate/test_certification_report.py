"""The sentences and rows about certificates, from results made by hand."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from core import certify
from core.evaluate.certification import CertifiedImage, CertifiedSet
from core.evaluate.certification_report import image_rows, image_sentence, report, set_rows, set_sentence
from core.evaluate.proportion import Proportion

CLASSES = ("cat", "dog")
IMAGE = CertifiedImage(
    predicted=0,
    radius=3 / 255,
    unit="L∞",
    budgets=np.array([0, 2, 3, 4]) / 255,
    bounds={"interval bound": np.array([2.0, 1.0, -1.0, -4.0]), "CROWN bound": np.array([2.0, 0.5, 0.25, -0.123456])},
    attacked=np.array([2.0, 1.5, 1.0, 0.5]),
    attacks="PGD",
)
SET = CertifiedSet(
    unit="L∞",
    budgets=np.array([0, 2, 4]) / 255,
    certified=tuple(Proportion(n, 10) for n in (9, 5, 1)),
    attacked=tuple(Proportion(n, 10) for n in (9, 8, 4)),
    attacks="PGD",
    abstained=0,
)


def test_a_row_per_budget_of_an_image() -> None:
    rows = image_rows(IMAGE, "/255", CLASSES)
    assert [row["ε, L∞"] for row in rows] == ["0/255", "2/255", "3/255", "4/255"]
    assert [row["best bound"] for row in rows] == [2.0, 1.0, 0.25, -0.1235]
    assert rows[3]["interval bound"] == -4.0 and rows[1]["best attacked margin"] == 1.5
    single = image_rows(replace(IMAGE, bounds={"Flow": IMAGE.bounds["CROWN bound"]}, attacked=np.empty(0)), "", CLASSES)
    assert list(single[0]) == ["ε, L∞", "best bound"]
    smoothed = replace(IMAGE, budgets=np.empty(0), bounds={}, attacked=np.empty(0), unit="L2")
    assert image_rows(smoothed, "", CLASSES) == [{"class": "cat", "certified radius, L2": "0.01176"}]
    assert image_rows(replace(smoothed, predicted=-1, radius=0.0), "", CLASSES)[0]["class"] == "–"


@pytest.mark.parametrize(
    ("changes", "label", "sentence"),
    [
        ({}, 0, "is 'cat' (the true one); certified up to ε 3/255 (L∞). No attack tried up to ε 4/255 changes it."),
        ({}, None, "is 'cat' (the true class is unknown); certified up to ε 3/255"),
        ({}, 1, "is 'cat', and the true one is 'dog': wrong without an attack, so nothing is certified."),
        ({"predicted": -1}, 0, "The certificate abstains"),
        ({"radius": nan}, 0, "certified up to at least ε 3/255 (L∞)"),
        ({"radius": nan, "bounds": {"one": np.full(4, -1.0)}}, 0, "no ε is certified"),
        ({"radius": nan, "bounds": {}}, 0, "the certificate works out no radius"),
        ({"radius": 0.0}, 0, "no ε is certified"),
        ({"attacked": np.array([2.0, 1.0, 0.0, -1.0])}, 0, "An attack at ε 3/255 changes it."),
    ],
)
def test_what_is_said_of_an_image(changes: dict[str, object], label: int | None, sentence: str) -> None:
    assert sentence in image_sentence(replace(IMAGE, **changes), "/255", CLASSES, label)  # type: ignore[arg-type]


def test_a_row_per_budget_of_a_set() -> None:
    assert set_rows(SET, "/255")[1] == {
        "ε, L∞": "2/255",
        "certified": str(Proportion(5, 10)),
        "right under attack": str(Proportion(8, 10)),
    }
    assert all("right under attack" not in row for row in set_rows(replace(SET, attacked=()), ""))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "are certified, and 4 stay right under attack; of the 3 between, nothing is known."),
        ({"attacked": SET.certified}, "At ε 4/255 (L∞), 1 of 10 images are certified, and 1 stay right under attack."),
        (
            {"attacked": (), "abstained": 2},
            "At ε 2/255 (L∞), 5 of 10 images are certified; the certificate abstains on 2.",
        ),
    ],
)
def test_what_is_said_of_a_set(changes: dict[str, object], sentence: str) -> None:
    assert sentence in set_sentence(replace(SET, **changes), "/255")  # type: ignore[arg-type]


def test_the_report_names_what_was_promised() -> None:
    rows = set_rows(SET, "/255")
    text = report(
        certify.FlowCertificate(eps=3), certify.FlowCertificate.parameters(), "MLP", ["Ten."], "", rows, "So."
    )
    assert text.startswith("# Flow certificate: MLP\n\n- Certificate: Flow certificate (eps 3 px). ")
    assert certify.FlowCertificate.threat_model in text and "white box: none" in text and "- Ten.\n" in text
    assert text.endswith("\nSo.\n") and "| 2/255 |" in text and "smoothed" not in text
    smoothing = certify.Smoothing()
    assert "about the smoothed classifier" in report(smoothing, smoothing.parameters(), "MLP", [], "", rows, "So.")
