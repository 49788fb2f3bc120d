"""Tables, plots, pictures and jobs."""

from __future__ import annotations

import base64
import csv
import io

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import jobs, pictures, plots, tables
from app.session import Uploads
from core import BadInput, images
from core.recipe import Progress, Trace
from tests.pages.visits import tiles

ROWS: list[tables.Row] = [{"Defense": "LGS_2 & {co}", "Right %": 70.9}, {"Defense": "✓ 100 $", "Right %": 3}]


def test_csv_reads_back() -> None:
    rows = list(csv.DictReader(io.StringIO(tables.csv(ROWS))))
    assert rows == [{"Defense": "LGS_2 & {co}", "Right %": "70.9"}, {"Defense": "✓ 100 $", "Right %": "3"}]


def test_latex_escapes_every_command_and_aligns_numbers() -> None:
    text = tables.latex(ROWS)
    assert r"\begin{tabular}{lr}" in text
    assert r"LGS\_2 \& \{co\} & 70.9 \\" in text
    assert r"Right \%" in text
    assert r"\checkmark{} 100 \$" in text


def test_differences_are_magnified_exactly() -> None:
    clean = np.full((4, 4, 3), 100, dtype=np.uint8)
    other = clean.copy()
    other[0, 0] = (103, 97, 100)
    shown, factor = pictures.magnified(clean, other)
    assert factor == 32
    assert shown[0, 0].tolist() == [128 + 96, 128 - 96, 128]
    assert (shown[1:] == 128).all()
    assert pictures.magnified(clean, clean)[1] == 1
    assert pictures.magnified(np.zeros_like(clean), np.full_like(clean, 255))[1] == 1


def test_a_picture_travels_bit_for_bit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    assert np.array_equal(images.decode(base64.b64decode(pictures.uri(noise).partition(",")[2])), noise)


def test_a_row_sends_only_what_is_not_there_yet() -> None:
    def page() -> None:
        import numpy as np
        import streamlit as st

        from app.pictures import Tile, all_again, row

        if st.session_state.get("whole"):
            all_again()
        greys = (10, st.session_state.get("grey", 20))
        row([Tile(np.full((4, 4, 3), grey, np.uint8), "one") for grey in greys], key="row", label="Row")

    app = AppTest.from_function(page).run()
    first = tiles(app, "Row")
    assert all(item["src"].startswith("data:image/png;base64,") for item in first)
    app.session_state.grey = 30
    second = tiles(app.run(), "Row")
    assert second[0] == {**first[0], "src": None}
    assert second[1]["src"] not in (None, first[1]["src"])
    app.session_state.whole = True
    third = tiles(app.run(), "Row")
    assert [item["src"] for item in third] == [first[0]["src"], second[1]["src"]]


@pytest.mark.parametrize(("kind", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_plots_are_drawn_the_same_each_time(kind: str, head: bytes) -> None:
    trace = Trace(numbers=(0, 1, 2), loss=(0, 1, 2), confidence=(0.9, 0.5, 0.1), strongest=(0.1, 0.5, 0.9))
    first, second = (
        plots.rendered(lambda: plots._trace_figure(trace, "cat", "dog", "#D55E00"), kind) for _ in range(2)
    )
    assert first.startswith(head)
    assert first == second


def test_uploads_are_bounded_and_found_by_their_digest() -> None:
    kept = Uploads(most=3)
    digests = [kept.add(images.png(np.full((9, 9, 3), shade, dtype=np.uint8))) for shade in range(5)]
    assert list(kept.kept) == digests[2:]
    assert kept.kept[digests[4]][0, 0, 0] == 4
    with pytest.raises(BadInput):
        kept.add(b"no picture")
    small = Uploads(most=99, pixels=100)
    for shade in range(5):
        small.add(images.png(np.full((9, 9, 3), shade, dtype=np.uint8)))
    assert len(small.kept) == 1


def test_a_job_reports_stops_and_fails_in_words() -> None:
    job = jobs.Job("key", "text")

    def work(watch: object) -> int:
        for step in range(100):
            if watch(Progress("work", step, 100)):  # type: ignore[operator]
                return step
            if step == 4:
                job.cancel.set()
        return -1

    jobs._run(job, work)
    assert (job.result, job.state, job.live) == (5, "done", False)

    def refuse(watch: object) -> None:
        raise BadInput("No.")

    def break_(watch: object) -> None:
        raise ZeroDivisionError

    told = jobs.Job("key", "text")
    jobs._run(told, refuse)
    assert (told.error, told.state) == ("No.", "failed")
    broken = jobs.Job("key", "text")
    jobs._run(broken, break_)
    assert "Something went wrong" in broken.error and "ZeroDivision" not in broken.error
    early = jobs.Job("key", "text")
    early.cancel.set()
    jobs._run(early, break_)
    assert early.error == "" and early.result is None
