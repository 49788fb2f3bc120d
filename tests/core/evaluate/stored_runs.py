"""The plans of runs that several files test, and what a run holds."""

from __future__ import annotations

import sqlite3

from core.evaluate.plan import Plan
from core.evaluate.store import RunStore
from core.recipe import Method

# A run whose predictions are filled in, and one that is computed.
FILLED = Plan(
    domain="mnist",
    n_images=12,
    batch=5,
    attacks=(
        Method(name="fgsm", params={"eps": 40 / 255}),
        Method(name="fgsm", params={"eps": 80 / 255}),
        Method(name="universal_patch"),
    ),
    target="3",
    defenses=((Method(name="median"),), (Method(name="bitdepth"),)),
    detectors=(Method(name="feature_squeezing"),),
)
COMPUTED = Plan(
    domain="mnist",
    classifiers=("cnn",),
    n_images=13,
    batch=5,
    attacks=(Method(name="pgd", params={"eps": "40/255", "steps": 3}), Method(name="square", params={"queries": 20})),
    defenses=((Method(name="median"),), (Method(name="random_resize"), Method(name="bitdepth"))),
    detectors=(Method(name="feature_squeezing"),),
    save_images=7,
)


def content(run: RunStore) -> list[tuple[object, ...]]:
    """All that a run holds but the times."""
    connection = sqlite3.connect(run.path)
    tables = (
        "SELECT key, classifier, attack, known_defense, batch, targets FROM tasks ORDER BY key",
        "SELECT task, detector, scores FROM scores ORDER BY task, detector",
        "SELECT task, defense, predicted, confidence, true_confidence FROM predictions ORDER BY task, defense",
        "SELECT * FROM images ORDER BY 1, 2, 3, 4",
        "SELECT * FROM extras ORDER BY task, name",
    )
    rows = [row for question in tables for row in connection.execute(question).fetchall()]
    connection.close()
    return rows
