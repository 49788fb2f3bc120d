"""Other classifiers and votes beside defenses, on the pages that show columns."""

from __future__ import annotations

import re

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app.text import per_cent
from app.verdicts.defend import vote_headline
from core import defenses, domains, images, run
from core.detectors import FeatureSqueezing
from core.recipe import Method, Recipe, craft, load_example
from core.recipe.columns import MemberSpec, SystemSpec
from tests.pages.visits import attacker_of, settled, tiles, verdict, visit

OTHER = SystemSpec(members=(MemberSpec(classifier="b"),))
VOTE = SystemSpec(members=(MemberSpec(), MemberSpec(classifier="b", defenses=(Method(name="median"),))))
PGD = Method(name="pgd", params={"eps": 0.3, "steps": 5})
RECIPE = Recipe(domain="mnist", classifier="a", attack=PGD, defenses=((Method(name="median"),), OTHER, VOTE))
TITLE = domains.get("mnist").classifier_title("b")
ROW, CHANGED = "Defended images", "What each defense changed"


def captions(app: AppTest) -> str:
    """All captions of the page, as people read them."""
    return "\n".join(str(caption.value) for caption in app.caption).replace("\\", "")


def test_defend_puts_a_classifier_and_a_vote_beside_a_defense() -> None:
    app = visit("defend", RECIPE.replace(attacker="both").to_link())
    named = list(app.dataframe[0].value["Defense"])
    assert named[1] == TITLE and named[2] == "vote of 2"
    assert f"Vote of 2: 1. the bare classifier; 2. {TITLE} behind Median filter" in captions(app)
    shown = tiles(app, ROW)
    assert [tile["title"] for tile in shown][2] == TITLE
    # The other classifier judges the very image that was crafted on the recipe's own.
    assert shown[2]["src"] == shown[0]["src"]
    assert shown[3]["title"] == "vote of 2"
    changed = [tile["caption"].startswith("what the first member gets") for tile in tiles(app, CHANGED)]
    assert changed == [False, False, False, True]
    own = domains.get("mnist").classifier_title("a")
    assert f"The classifier is {own}, behind this defense alone. This is not the vote." in captions(app)
    assert "of 3 defenses" in verdict(app)
    assert app.session_state["recipe"] == RECIPE.replace(attacker="both")


def test_a_vote_says_who_said_what_with_which_share_and_who_was_outvoted() -> None:
    recipe = RECIPE.replace(attacker="both", defenses=(VOTE,))
    app = visit("defend", recipe.to_link())
    votes = next(frame.value for frame in app.dataframe if "Member" in frame.value.columns)
    assert list(votes.columns) == ["Member", "Adaptive", "Grey box", "Clean"]
    assert list(votes["Member"]) == ["the bare classifier", f"{TITLE} behind Median filter"]
    example = load_example(recipe)
    outcome = run(recipe)
    guard = outcome.columns[0].grey
    assert guard is not None
    x = images.to_tensor(outcome.attacked.adversarial)
    other = defenses.build("median", {})(x)
    with torch.no_grad():
        scores = torch.cat([example.classifier(x), example.load("b")(other)]).softmax(1)
    winner = int(scores.sum(0).argmax())
    assert guard.prediction.label == winner
    for vote, score in zip(guard.votes, scores, strict=True):
        assert vote.prediction.label == int(score.argmax())
        assert vote.share == pytest.approx(float(score[winner] / scores[:, winner].sum()), abs=1e-5)
    for row, vote in enumerate(guard.votes):
        cell = votes["Grey box"][row]
        assert f"share {per_cent(vote.share)}" in cell and ("outvoted" in cell) == (vote.prediction.label != winner)
    words = vote_headline(outcome.columns, outcome.classes)
    assert any(words == element.value for element in app.markdown), words
    assert sum("outvoted" in cell for cell in votes["Grey box"]) == len(
        re.findall("outvoted: ", words.split("does not")[1])
    )


def test_without_a_vote_there_is_no_table_of_votes() -> None:
    app = visit("defend", RECIPE.replace(defenses=((Method(name="median"),),)).to_link())
    assert not any("Member" in frame.value.columns for frame in app.dataframe)


def test_a_classifier_is_added_chained_and_removed() -> None:
    app = visit("defend", RECIPE.replace(defenses=((Method(name="median"),),)).to_link())
    choice = app.selectbox(key="add_name_mnist")
    assert f"Classifier: {TITLE}" in choice.options
    choice.set_value("classifier b")
    app.button(key="add").click()
    settled(app.run())
    assert app.session_state["recipe"].defenses == ((Method(name="median"),), OTHER)
    app.button(key="behind_1").click()
    settled(app.run())
    (member,) = app.session_state["recipe"].defenses[1].members
    assert member.classifier == "b" and len(member.defenses) == 1
    app.button(key="shorter_1").click()
    settled(app.run())
    assert app.session_state["recipe"].defenses[1] == OTHER
    app.button(key="remove_1").click()
    settled(app.run())
    assert app.session_state["recipe"].defenses == ((Method(name="median"),),)


def test_a_column_gets_another_classifier_and_one_that_votes() -> None:
    app = visit("defend", RECIPE.replace(defenses=((Method(name="median"),),)).to_link())
    app.selectbox(key="of_0_mnist").set_value("b")
    settled(app.run())
    assert app.session_state["recipe"].defenses == (
        SystemSpec(members=(MemberSpec(classifier="b", defenses=(Method(name="median"),)),)),
    )
    app.selectbox(key="voter_0_mnist").set_value("")
    app.button(key="vote_0").click()
    settled(app.run())
    members = app.session_state["recipe"].defenses[0].members
    assert [member.classifier for member in members] == ["b", ""]
    app.button(key="leave_0_0").click()
    settled(app.run())
    # The recipe's own classifier alone is no column.
    assert "needs a defense" in app.warning[0].value
    assert len(app.session_state["recipe"].defenses[0].members) == 2


@pytest.mark.parametrize("page", ["attack", "compare"])
def test_the_attacker_may_know_a_system(page: str) -> None:
    app = visit(page, RECIPE.replace(attacker="adaptive", known_defense=1).to_link())
    assert attacker_of(app).value == 1
    assert any(TITLE in option for option in attacker_of(app).options)
    if page == "compare":
        app.button(key="run_comparison").click()
        settled(app.run())
        assert any(f"made on {TITLE}" in one.value for one in app.caption)
    else:
        assert verdict(app)
    assert app.session_state["recipe"].known_defense == 1


def test_grad_cam_explains_every_member_with_its_own_classifier() -> None:
    app = visit("gradcam", RECIPE.to_link())
    titles = [tile["title"] for tile in tiles(app, "Images")]
    assert len(titles) == 2 + 1 + 2 + 2, "the other classifier's clean image stands before its first member"
    assert titles[3:5] == [f"clean, {TITLE}", TITLE] and titles[6].startswith(f"{TITLE} behind")
    maps = [tile["src"] for tile in tiles(app, "Class maps in grey")]
    assert maps[1] != maps[4]  # the attacked image, to either classifier


def test_windows_and_feature_noise_pass_over_other_classifiers() -> None:
    for page in ("windows", "features"):
        app = visit(page, RECIPE.to_link())
        assert not app.exception and verdict(app), page
        assert app.session_state["recipe"].defenses == RECIPE.defenses


def test_detect_asks_about_the_system_that_the_attacker_knows() -> None:
    recipe = RECIPE.replace(attacker="adaptive", known_defense=2, view={"detector": "feature_squeezing"})
    app = visit("detect", recipe.to_link())
    example = load_example(recipe, device="cpu")
    system = recipe.build_known_system()
    assert system is not None
    vote = system.classifier(example.load, recipe.backward, seed=recipe.seed)
    attacked = craft(recipe, example, system=system, backward=recipe.backward)
    detector = FeatureSqueezing(vote)
    table = app.dataframe[0].value
    for row, pixels in enumerate((example.clean, attacked.adversarial)):
        with torch.no_grad():
            batch = images.to_tensor(pixels)
            score, seen = float(detector.score(batch)), int(vote(batch).argmax())
        assert float(table.iloc[row]["score"]) == pytest.approx(score, abs=0.01)
        assert table.iloc[row]["classifier sees"] == example.classifier.classes[seen]
    assert any("those that vote of the bare classifier" in caption.value for caption in app.caption)
    grey = visit("detect", recipe.replace(attacker="grey").to_link())
    assert grey.dataframe[0].value.iloc[1]["score"] != table.iloc[1]["score"]
