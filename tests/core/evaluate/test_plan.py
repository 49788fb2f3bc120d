"""What a plan takes, refuses, and is called."""

from __future__ import annotations

from typing import Any

import pytest

from core.evaluate.eps_grid import at_each_eps
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.tasks import Task, judged_defenses, tasks
from core.inputs import InvalidInput
from core.recipe import Method


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"domain": "nowhere"}, "no domain called"),
        ({"classifiers": ("vgg19",)}, "no classifier called 'vgg19'"),
        ({"attacks": (Method(name="pgd", params={"eps": 3}),)}, "eps is 3; in L∞ it must be at most 1"),
        ({"defenses": ((),)}, "chain of 1 to 6"),
        ({"n_images": 0}, "at least 1"),
        ({"target": "dragon"}, "'dragon' is no class"),
        ({"backward": "none"}, "another word"),
        ({"backward": "true"}, "JPEG: no useful gradient"),
    ],
)
def test_a_wrong_plan_gets_a_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Plan(**values)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a b": 1}', '{"dommain": "photos"}'])
def test_text_that_is_no_plan_gets_a_sentence(text: str) -> None:
    with pytest.raises(InvalidInput, match="evaluation"):
        Plan.from_json(text)


def test_a_plan_is_its_json_and_its_name_is_what_it_says() -> None:
    plan = Plan(attacks=(Method(name="fgsm"), Method(name="fgsm")), n_images=5)
    assert len(plan.attacks) == 1, "the same attack twice is one"
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.name == Plan(attacks=(Method(name="fgsm"),), n_images=5, classifiers=("photonet",)).name
    assert plan.name != Plan(attacks=(Method(name="fgsm"),), n_images=6).name


def test_every_attack_meets_every_defense_once_for_each_attacker() -> None:
    plan = Plan(attacks=(Method(name="fgsm"), Method(name="universal_patch")), target="moon", n_images=7, batch=3)
    seen = list(tasks(plan))
    assert len({task.key for task in seen}) == len(seen)
    assert sum(task.batch is None for task in seen) == 3  # a patch for the bare classifier and one for each defense
    assert seen.index(Task(0, 1, 1, None)) < seen.index(Task(0, 1, 1, 0))
    asked = [
        (u.attack, u.known_defense, judge, u.batch)
        for u in seen
        if u.batch is not None
        for judge in judged_defenses(plan, u)
    ]
    clean = [(NO_ATTACK, NO_DEFENSE, judge, batch) for batch in range(3) for judge in (NO_DEFENSE, 0, 1)]
    grey = [
        (attack, NO_DEFENSE, judge, batch) for attack in (0, 1) for batch in range(3) for judge in (NO_DEFENSE, 0, 1)
    ]
    adaptive = [(attack, known, known, batch) for attack in (0, 1) for batch in range(3) for known in (0, 1)]
    assert sorted(asked) == sorted(clean + grey + adaptive)


def test_eps_is_spread_over_the_attacks_that_have_one() -> None:
    methods = at_each_eps([Method(name="pgd"), Method(name="deepfool")], ["2/255", "8/255"])
    assert [m.name for m in methods] == ["pgd", "pgd", "deepfool"]
    assert methods[0].params == {"eps": 2 / 255} and methods[1].params == {}  # 8/255 is PGD's default
