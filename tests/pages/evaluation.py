"""The evaluation that tests of the Evaluate page open."""

from __future__ import annotations

from core.evaluate import Plan
from core.recipe import Method, Recipe

PLAN = Plan(
    domain="mnist",
    n_images=30,
    attacks=(
        Method(name="fgsm", params={"eps": 40 / 255}),
        Method(name="fgsm", params={"eps": 80 / 255}),
    ),
    defenses=((Method(name="median"),), (Method(name="bitdepth", params={"bits": 1}),)),
    detectors=(Method(name="feature_squeezing"),),
)
LINK = Recipe(domain="mnist").to_link()
