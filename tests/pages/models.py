"""The Models page and what stands on it, for the tests of the page."""

from __future__ import annotations

import json
from typing import Any

from streamlit.testing.v1 import AppTest

from core import domains
from core.recipe import Method, Recipe
from tests.pages.visits import ROOT, settled

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
