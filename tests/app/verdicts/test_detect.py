"""Detect's headlines and its table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.verdicts.detect import detect_verdict, score_words, trial_table, trial_verdict
from core.evaluate.detector_benchmark import DetectorBenchmark, DetectorScores
from tests.app.verdicts.made import CLASSES, prediction_of

WRONG = "The classifier was wrong before any attack: it took this cat for an astronaut (60 %)."


@pytest.mark.parametrize(
    ("flags", "seen", "text"),
    [
        ((False, True), (0, 1), "D flags the attacked image and passes the clean one."),
        ((True, True), (0, 1), "D flags the attacked image, but the clean one too."),
        ((False, False), (0, 1), "D does not notice the attack."),
        ((True, False), (0, 1), "D does not notice the attack; it flags the clean image instead."),
        ((False, False), (0, 0), "The attack did not fool the classifier, and D passes the attacked image."),
        (
            (True, True),
            (0, 0),
            "The attack did not fool the classifier, and D flags the attacked image, and it flags the clean one.",
        ),
        ((True, True), (1, 1), f"{WRONG} D flags both images."),
        ((False, True), (1, 2), f"{WRONG} D flags the attacked image only."),
        ((True, False), (1, 2), f"{WRONG} D flags the clean image only."),
        ((False, False), (1, 2), f"{WRONG} D passes both images."),
    ],
)
def test_the_headline_about_one_image(flags: tuple[bool, bool], seen: tuple[int, int], text: str) -> None:
    assert detect_verdict("D", flags, (prediction_of(seen[0]), prediction_of(seen[1])), CLASSES, 0) == text


def judged(scores: list[float], predicted: list[int]) -> DetectorScores:
    return DetectorScores(np.array(scores, np.float32), np.array(predicted), np.zeros(len(scores), np.int64))


CALM = judged([0, 0, 0, 0], [0, 0, 0, 0])
FOOLED = judged([1, 1, 0.5, 0], [1, 1, 1, 0])
UNSEEN = judged([0.5, 0.5, 0.5, 0.5], [1, 1, 0, 0])
TRIAL = DetectorBenchmark(np.zeros(4, np.int64), CALM, FOOLED, UNSEEN, 0.5)


@pytest.mark.parametrize(
    ("trial", "threshold", "text"),
    [
        (
            TRIAL,
            0.5,
            "D flags 2 of 3 (67 %) images that fool the classifier. Known to the attacker, 0 of 2 (0 %): 2 of all 4 go unnoticed.",
        ),
        (
            TRIAL,
            0.4,
            "D flags 3 of 3 (100 %) images that fool the classifier. Known to the attacker, 2 of 2 (100 %): 0 of all 4 go unnoticed.",
        ),
        (replace(TRIAL, oblivious=CALM, adaptive=CALM), 0.5, "The attack fooled the classifier on none of 4 images."),
        (
            replace(TRIAL, adaptive=CALM),
            0.5,
            "D flags 2 of 3 (67 %) images that fool the classifier; an attacker who knows it fools the classifier on none.",
        ),
        (
            replace(TRIAL, oblivious=CALM),
            0.5,
            "An attacker who does not know the detector fools the classifier on no image. "
            "Known to the attacker, D flags 0 of 2 (0 %): 2 of all 4 go unnoticed.",
        ),
        (
            replace(TRIAL, oblivious=CALM, adaptive=CALM, stopped=True),
            0.5,
            "Stopped after 4 images. The attack fooled the classifier on none of 4 images.",
        ),
    ],
)
def test_the_headline_about_many(trial: DetectorBenchmark, threshold: float, text: str) -> None:
    assert trial_verdict("D", trial, threshold) == text


def test_a_share_of_no_image_is_a_dash() -> None:
    row = trial_table(replace(TRIAL, oblivious=CALM), 0.5)[0]
    assert (row["fooled"], row["true positive"], row["true negative"], row["class restored"]) == (
        "0 of 4",
        "–",
        "–",
        "–",
    )


def test_a_score_just_above_its_threshold_is_seen_to_be() -> None:
    assert score_words(1.234, 0.5) == ("1.23", "0.50")
    assert score_words(0.5004, 0.5) == ("0.5004", "0.5000")
    assert score_words(0.5, 0.5) == ("0.50", "0.50")
