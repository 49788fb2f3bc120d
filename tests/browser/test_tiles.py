"""A row of images by itself: its program, given one row after another."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from app.components import image_row
from tests.browser.conftest import Open

PROGRAM = re.search(r'js="""(.*?)"""', inspect.getsource(image_row), re.DOTALL)[1]  # type: ignore[index]


def item(server: str, name: str, title: str, words: str) -> dict[str, Any]:
    plain = {
        "color": "#888",
        "sign": "",
        "file": "x.png",
        "deferred": False,
        "crisp": False,
        "links": [],
        "ratio": "1/1",
    }
    return {**plain, "src": f"{server}/media/{name}.png", "title": title, "caption": words, "alt": f"{title}. {words}"}


@pytest.mark.parametrize(
    "rows",
    [
        ["A one", "B two"],  # the same tiles, other images
        ["C one", "B new"],  # an image moves out of a tile that stays into a new one
        ["B one", "B new"],  # ... and is still shown in the old one
        ["A one", "A one", "A new"],  # the same image three times
        ["C one", "B two", "D three"],
        ["D three", "C one"],  # each moves
        ["B two"],
        [],
    ],
    ids=" ".join,
)
def test_every_tile_has_its_own_image_words_and_link(server: str, browse: Open, rows: list[str]) -> None:
    page = browse(f"{server}/app/static/none", wait=False)
    page.set_content("<div id=p><div id=row></div><dialog id=large><img><p></p></dialog></div>")

    def draw(tiles: list[str]) -> list[list[str]]:
        items = [item(server, *tile.split(), words=f"words {n} of {tile}") for n, tile in enumerate(tiles)]
        data = {"items": items, "tile": 100, "label": "Row", "signs": False, "token": "".join(tiles)}
        found: list[list[str]] = page.evaluate(
            """async ([program, data]) => {
                const made = await import('data:text/javascript,' + encodeURIComponent(program));
                made.default({ data, parentElement: document.querySelector('#p') });
                return [...document.querySelectorAll('#row figure')].map((f) => [f.querySelector('b').textContent,
                    ...[...f.querySelectorAll('img')].map((i) => i.getAttribute('src')), f.querySelector('a').getAttribute('href'),
                    f.querySelector('figcaption').textContent]);
            }""",
            [PROGRAM, data],
        )
        wanted = [[i["title"], i["src"], i["src"], i["caption"]] for i in items]
        assert found == wanted
        return found

    draw(["B one", "A two"])
    draw(rows)
    draw(["E one", "A two"])
