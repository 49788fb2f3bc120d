"""Defend's headline and table against the columns that they are about."""

from __future__ import annotations

import pytest

from app.verdicts.defend import (
    defend_verdict,
    defense_time,
    short_names,
    sweep_caption,
    table_of_columns,
    table_of_votes,
    vote_members,
)
from core.defenses import JPEG
from core.recipe import DefenseOutcome, Outcome
from core.recipe.outcome import MemberVote
from core.systems import Member, System
from tests.app.verdicts.made import CLASSES, attacked, column, outcome, prediction_of

FOOLED, FAILED = attacked(1), attacked(0)
WRONG = "The classifier was wrong before any attack: it took this cat for an astronaut (60 %)."


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (outcome(FOOLED), "No defense is chosen yet; add one."),
        (
            outcome(FOOLED, column("A", 0), column("B", 1), column("C", 0)),
            "2 of 3 defenses bring the cat back from an attacker who does not know them.",
        ),
        (
            outcome(FOOLED, column("A", 0, 1), column("B", 1, 1)),
            "Against an attacker who knows them, 0 of 2 defenses keep the cat. "
            "1 of 2 defenses brings the cat back from an attacker who does not know them.",
        ),
        (
            outcome(FOOLED, column("A", 0, 0)),
            "Against an attacker who knows them, 1 of 1 defense keeps the cat. "
            "1 of 1 defense brings the cat back from an attacker who does not know them.",
        ),
        (
            outcome(FOOLED, column("A", 0, 0), column("A", 0, 0), column("B", 1, 1)),
            "Against an attacker who knows them, 1 of 2 defenses keeps the cat. "
            "1 of 2 defenses brings the cat back from an attacker who does not know them.",
        ),
        (
            outcome(FOOLED, column("A", 0, 1), column("B", 0), column("C", 1)),
            "Against an attacker who knows them, 0 of 1 defense keep the cat; 2 were not tried to the end. "
            "2 of 3 defenses bring the cat back from an attacker who does not know them.",
        ),
        (
            outcome(FOOLED, column("A", 0, 0, cut=True), column("B", 0, 1, cut=True)),
            "Against an attacker who knows them, 0 of 1 defense keep the cat; 1 was not tried to the end. "
            "2 of 2 defenses bring the cat back from an attacker who does not know them.",
        ),
        (
            outcome(FAILED, column("A", 0, 1), column("B", 1, 1, clean=1)),
            "The attack did not fool the classifier. 1 of 2 defenses keeps the cat in the clean image. "
            "Against an attacker who knows them, 0 of 2 defenses keep the cat.",
        ),
        (
            outcome(attacked(0, stopped=True, iterations=1), column("A", 0)),
            "The attack was stopped after 1 step. The attack had not fooled the classifier. "
            "1 of 1 defense keeps the cat in the clean image.",
        ),
        (
            outcome(attacked(1, stopped=True, success=False, iterations=5), column("A", 0)),
            "The attack was stopped after 5 steps. 1 of 1 defense brings the cat back from an attacker who does not know them.",
        ),
        (
            outcome(attacked(1, success=False, target=2), column("A", 0)),
            "1 of 1 defense brings the cat back from an attacker who does not know them.",
        ),
        (
            outcome(attacked(1), column("A", 0, 1), before=1),
            f"{WRONG} Against an attacker who knows them, 0 of 1 defense make the image a cat. "
            "1 of 1 defense makes the image a cat where the attacker does not know them.",
        ),
        (
            outcome(FOOLED, column("A", 0), known=False),
            "1 of 1 defense brings the clean prediction (a cat) back from an attacker who does not know them.",
        ),
    ],
)
def test_the_headline_counts_what_was_tried(found: Outcome, text: str) -> None:
    assert defend_verdict(found) == text


def test_what_was_not_tried_is_a_dash_and_a_stopped_attack_says_so() -> None:
    columns = (column("A", 0, 0, cut=True), column("B", 1))
    rows = table_of_columns(columns, CLASSES, 0)
    assert [row["Adaptive"] for row in rows] == ["✓ cat 60 % (attack stopped)", "–"]
    assert [row["Grey box"] for row in rows] == ["✓ cat 60 %", "✗ astronaut 60 %"]
    assert "Adaptive" not in table_of_columns((column("B", 1),), CLASSES, None)[0]


def vote(member: str, others: int = 2) -> DefenseOutcome:
    """A vote of that member and of others."""
    made = column(f"vote of {member}, others", 0)
    votes = tuple(MemberVote(member=member, prediction=prediction_of(0), share=0.5) for _ in range(1 + others))
    return made.model_copy(update={"clean": made.clean.model_copy(update={"votes": votes})})


def test_votes_have_short_names_that_differ() -> None:
    assert short_names([column("A", 0), vote("A")]) == ["A", "vote of 3"]
    assert short_names([vote("A"), vote("A")]) == ["vote of 3", "vote of 3"]
    assert short_names([vote("A"), vote("B", 1), vote("B")]) == [
        "vote of 3 (number 1)",
        "vote of 2",
        "vote of 3 (number 2)",
    ]
    assert table_of_columns((vote("A"),), CLASSES, 0)[0]["Defense"] == "vote of 3"


def test_a_vote_is_named_beside_its_members_only_where_there_are_several() -> None:
    assert "Vote" not in table_of_votes((column("A", 0), vote("A")), CLASSES, 0)[0]
    rows = table_of_votes((vote("A"), vote("B", 1)), CLASSES, 0)
    assert [row["Vote"] for row in rows] == ["vote of 3"] * 3 + ["vote of 2"] * 2


def test_the_members_of_a_vote_are_listed_once_with_their_parameters() -> None:
    system = System((Member(), Member("b", "B, trained with its certificate", JPEG(quality=30))))
    said = vote_members([vote("A", 1), vote("A", 1)], [system, system])
    assert said == [
        f"Vote of 2: 1. the bare classifier; 2. B, trained with its certificate behind {JPEG(quality=30).describe()}."
    ]


def test_a_sweep_says_which_classifier_it_is_about() -> None:
    said = "The classifier is A, behind this defense alone. The attacker does not know the defense here (grey box)."
    assert sweep_caption("A", [column("A", 0)]) == said
    assert sweep_caption("A", [vote("A")]) == said.replace("alone.", "alone. This is not the vote.")


def test_a_classifier_without_a_defense_has_no_time() -> None:
    made = column("JPEG", 0)
    assert (
        defense_time(made.model_copy(update={"seconds": 0.0})) == "–"
        and defense_time(made.model_copy(update={"seconds": 0.02})) == "20 ms"
    )
