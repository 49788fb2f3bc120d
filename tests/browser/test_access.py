"""For everybody: two themes, a phone, a keyboard, a screen reader's rules."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from core.recipe import Recipe
from tests.browser.conftest import PHONE, SHOTS, TALL, Open, finished, verdict

PAGES = (
    *(
        "",
        "attack",
        "compare",
        "defend",
        "windows",
        "detect",
        "certify",
        "evaluate",
        "training",
        "models",
        "denoisers",
        "gradcam",
        "features",
        "masks",
        "landscape",
    ),
    "masks?recipe=" + Recipe(domain="mnist", classifier="a").to_link(),
)
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]


def violations(page: Any) -> list[str]:
    """What axe-core calls serious or critical, one line each."""
    page.evaluate(AXE)
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)["violations"]
    return [
        f"{item['id']} ({item['impact']}): {node['target']} {node['html'][:200]} {node['failureSummary'][:300]}"
        for item in found
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"][:4]
    ]


def name(where: str) -> str:
    """What a page's screenshot is called."""
    return where.replace("masks?recipe=", "masks-of-")[:12] or "start"


def broken_words(page: Any) -> list[str]:
    """The words of images' titles and captions that stand on more than one line; a hyphen may end a line."""
    return page.locator(".head b, figcaption").evaluate_all(  # type: ignore[no-any-return]
        """titles => titles.flatMap(title => {
            const broken = [], walker = document.createTreeWalker(title, NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                for (const word of walker.currentNode.data.matchAll(/[^\\s-]+/g)) {
                    const range = document.createRange();
                    range.setStart(walker.currentNode, word.index);
                    range.setEnd(walker.currentNode, word.index + word[0].length);
                    if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) broken.push(word[0]);
                }
            }
            return broken;
        })"""
    )


def overlapping_labels(page: Any) -> list[list[str]]:
    """Pairs of a plot's titles, notes and legend entries that lie over each other."""
    return page.locator(".js-plotly-plot").evaluate_all(  # type: ignore[no-any-return]
        """plots => plots.flatMap(plot => {
            const labels = [...plot.querySelectorAll('.annotation-text, .gtitle, .legendtext, .xtitle, .ytitle')]
                .map(label => [label.textContent, label.getBoundingClientRect()]).filter(([, box]) => box.width);
            const apart = (a, b) => a.right < b.left + 2 || b.right < a.left + 2 || a.bottom < b.top + 2 || b.bottom < a.top + 2;
            return labels.flatMap(([text, box], n) => labels.slice(n + 1)
                .filter(([, other]) => !apart(box, other)).map(([other]) => [text, other]));
        })"""
    )


def cut_choices(page: Any) -> list[str]:
    """The choices of a field that are cut although they are short."""
    return page.locator("[data-testid=stMultiSelect] [data-tag-index], [data-baseweb=tag]").evaluate_all(  # type: ignore[no-any-return]
        """tags => tags.flatMap(tag => [tag, ...tag.querySelectorAll('*')])
            .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).textOverflow === 'ellipsis')
            .map(e => e.textContent).filter(text => text.length < 20)"""
    )


def check_labels(page: Any) -> None:
    """No word of a title is broken, no label of a plot lies over another, and no short choice is cut."""
    assert not broken_words(page)
    assert not overlapping_labels(page)
    assert not cut_choices(page)


def check_phone_and_laptop(page: Any) -> None:
    """A phone scrolls one way, the header covers nothing, and a laptop cuts no words."""
    heading = page.get_by_role("heading", level=1).bounding_box()
    header = page.locator("[data-testid=stHeader]").bounding_box()
    assert verdict(page) and heading["y"] >= header["y"] + header["height"] - 1, "the header covers the verdict"
    wide = page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=stMain], [data-testid=stMain] *')]
            .filter(e => e.scrollWidth > e.clientWidth + 1 && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
                && e.matches('[data-testid=stMain], [data-testid=stAppScrollToBottomContainer], .stMain'))
            .map(e => e.dataset.testid + ' ' + e.scrollWidth)"""
    )
    assert not wide and page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    beyond = page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=stMain] img, [data-testid=stMain] button, [data-testid=stMain] h1')]
            .filter(e => e.offsetParent && e.getBoundingClientRect().right > innerWidth + 1)
            .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert not beyond, beyond
    check_labels(page)
    page.set_viewport_size({"width": 1280, "height": 800})
    finished(page)
    cut = page.evaluate(
        """() => [...document.querySelectorAll(`[data-testid=stMain] :is(
                [role=radiogroup], [data-testid=stMultiSelectTagsContainer], button [data-testid=stMarkdownContainer],
                [data-testid=stCheckbox] [data-testid=stMarkdownContainer])`)]
            .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1)
            .map(e => e.innerText + ' ' + e.clientWidth + ' of ' + e.scrollWidth)"""
    )
    assert not cut
    check_labels(page)


def check_themes(page: Any, where: str) -> None:
    """Nothing serious for axe in either theme."""
    page.set_viewport_size(TALL)
    finished(page)
    check_labels(page)
    found = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.wait_for_function(
            "theme => getComputedStyle(document.querySelector('.stApp')).colorScheme === theme", arg=theme
        )
        finished(page)
        page.screenshot(path=SHOTS / f"{name(where)}-{theme}.png")
        found += [f"{theme}: {line}" for line in violations(page)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("where", PAGES, ids=name)
def test_a_phone_a_laptop_and_a_screen_reader_in_both_themes(where: str, server: str, browse: Open) -> None:
    page = browse(f"{server}/{where}", size=PHONE)
    finished(page)
    page.screenshot(path=SHOTS / f"{name(where)}-phone.png", full_page=True)
    check_phone_and_laptop(page)
    check_themes(page, where)
