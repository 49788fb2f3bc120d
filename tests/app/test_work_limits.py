"""Work that takes long is asked about, too long work is refused, and after a stop nothing begins by itself."""

from __future__ import annotations

import time
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.runtime import recipe_jobs
from app.state.result_keys import Kind
from core import Recipe
from core.recipe import ComparisonSpec, Method, cost
from tests.pages.visits import ROOT, settled, verdict, visit

FGSM = Method(name="fgsm")
SHORT = Recipe(attack=FGSM, defenses=((Method(name="bitdepth"),),), comparison=ComparisonSpec(attacks=("fgsm",)))


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is thought to take ten minutes."""
    monkeypatch.setattr(cost, "_GRADIENT", {})
    monkeypatch.setattr(cost, "attack_seconds", lambda *_: 600.0)
    monkeypatch.setattr(cost, "columns_seconds", lambda *_: 600.0)
    monkeypatch.setattr(cost, "comparison_seconds", lambda *_: 600.0)


@pytest.mark.parametrize("page", ["attack", "compare", "defend", "windows", "gradcam"])
def test_long_work_of_a_link_waits_for_a_word(page: str, slow_machine: None) -> None:
    app = visit(page, SHORT.to_link())
    assert "would take about 10 min" in verdict(app), verdict(app)
    assert not any(key.kind in (Kind.ATTACK, Kind.COMPARISON) for key in app.session_state["results"])
    button = {"attack": "run", "compare": "run_comparison"}.get(page, "again_attack")
    app.button(key=button).click()
    settled(app.run())
    assert any(key.kind in (Kind.ATTACK, Kind.COMPARISON) for key in app.session_state["results"])


def test_too_long_work_is_refused_with_advice(slow_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_MOST_SECONDS", "60")
    app = visit("windows", SHORT.to_link())
    assert "this server runs 1 min 0 s at most" in verdict(app) and app.button(key="again_attack").disabled
    app = visit("attack", SHORT.to_link())
    app.button(key="run").click()
    settled(app.run())
    assert "at most" in verdict(app)
    assert not any(key.kind is Kind.ATTACK for key in app.session_state["results"])


def test_after_a_stop_on_defend_nothing_longer_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(recipe_jobs, "evaluate_defenses", lambda *arguments, **options: begun.append("defend") or ())
    long = SHORT.replace(attack=Method(name="pgd", params={"steps": 700}))
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.query_params["recipe"] = long.to_link()
    app.run()
    app.switch_page("pages/defend.py").run()
    job: Any = app.session_state["job"]
    while not job.done:
        time.sleep(0.02)
    app.run()
    app.button(key="stop").click().run()
    assert job.finished.wait(20)
    for _ in range(3):
        settled(app.run())
    assert not begun and "stopped" in verdict(app)
    assert app.button(key="again_attack").label == "Run"
