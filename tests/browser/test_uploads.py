"""Everything that tests/malformed_images.py can think of goes through the real uploader."""

from __future__ import annotations

from pathlib import Path

from tests import malformed_images
from tests.browser.conftest import Open, finished, verdict


def test_hostile_files_get_one_sentence_each(server: str, browse: Open, tmp_path: Path) -> None:
    paths = malformed_images.write(tmp_path)
    page = browse(server)
    page.get_by_role("button", name="Use an image of yours").click()
    chooser = page.locator("[data-testid=stSidebar] [data-testid=stFileUploader] input[type=file]")
    chooser.wait_for(state="attached")
    chooser.set_input_files(list(paths.values()))
    sentences = page.locator("[data-testid=stSidebar] [data-testid=stAlert]")
    page.wait_for_function(
        "n => document.querySelectorAll('[data-testid=stSidebar] [data-testid=stAlert]').length >= n",
        arg=len(malformed_images.refused()),
        timeout=60_000,
    )
    finished(page)
    told = sentences.all_inner_texts()
    assert len(told) == len(malformed_images.refused())
    assert all(text.strip().endswith(".") and "\n" not in text.strip() for text in told), told
    for name in malformed_images.refused():
        assert sum(text.startswith(f"{name}: ") for text in told) == 1, name
    assert page.locator("[data-testid=stException]").count() == 0
    assert "true class of this image is unknown" in verdict(page)  # the last good image is on the table


def test_odd_images_reach_the_table(server: str, browse: Open, tmp_path: Path) -> None:
    paths = malformed_images.write(tmp_path)
    page = browse(server)
    page.get_by_role("button", name="Use an image of yours").click()
    chooser = page.locator("[data-testid=stSidebar] [data-testid=stFileUploader] input[type=file]")
    chooser.wait_for(state="attached")
    image = page.get_by_role("list", name="The image").get_by_role("img")
    before = image.get_attribute("src")
    for name in ("cmyk.jpg", "rgba.png", "turned.jpg"):
        chooser.set_input_files(paths[name])
        page.get_by_text(name, exact=False).first.wait_for()
        finished(page)
        after = image.get_attribute("src")
        assert after != before, name
        before = after
    word = page.url
    page.reload()  # the server still has it
    finished(page)
    assert page.url == word and image.get_attribute("src") == before
