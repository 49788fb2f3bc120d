"""Tables, plots, images and jobs."""

from __future__ import annotations

import base64
import csv
import io
from types import SimpleNamespace

import numpy as np
import pyarrow
import pytest
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.testing.v1 import AppTest

from app.components import image_row, tables
from app.runtime import jobs, streamlit_adapter
from app.state.result_keys import data_set
from core import InvalidInput, images
from core.recipe import Progress
from tests.pages.visits import tiles

ADDRESS = image_row._address  # as it is before the tests that have no server put their own in its place
ROWS: list[tables.Row] = [{"Defense": "LGS_2 & {co}", "Right %": 70.9}, {"Defense": "✓ 100 $", "Right %": 3}]


def test_csv_reads_back() -> None:
    rows = list(csv.DictReader(io.StringIO(tables.csv(ROWS))))
    assert rows == [{"Defense": "LGS_2 & {co}", "Right %": "70.9"}, {"Defense": "✓ 100 $", "Right %": "3"}]


def test_a_column_of_numbers_and_words_is_words_for_arrow() -> None:
    frame = tables._frame([{"a": 1.5, "b": 1, "c": "x"}, {"a": "–", "b": 2, "c": "y"}])
    assert list(frame["a"]) == ["1.5", "–"] and list(frame["b"]) == [1, 2] and frame["b"].dtype == "int64"
    pyarrow.Table.from_pandas(frame)
    assert tables._frame([]).empty


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
    shown, factor = image_row.magnified_difference(clean, other)
    assert factor == 32
    assert shown[0, 0].tolist() == [128 + 96, 128 - 96, 128]
    assert (shown[1:] == 128).all()
    assert image_row.magnified_difference(clean, clean)[1] == 1
    assert image_row.magnified_difference(np.zeros_like(clean), np.full_like(clean, 255))[1] == 1


def test_an_image_travels_bit_for_bit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    assert np.array_equal(images.decode(base64.b64decode(image_row.data_uri(noise).partition(",")[2])), noise)


def test_a_file_is_handed_over_once_and_stays_until_its_row_has_changed_some_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The browser fetches a row's files a moment after it got the row, and may be behind when a slider moves fast."""
    files: dict[str, bytes] = {}  # by place, where the server keeps the last one
    handed: list[int] = []

    def shade(file: bytes) -> int:
        return int(images.from_png(file).max())

    def address(file: bytes, name: str, place: str) -> str:
        files[place] = file
        handed.append(shade(file))
        return name

    def page() -> None:
        import numpy as np
        import streamlit as st

        from app.components import image_row

        if st.session_state.get("whole"):
            image_row.reset()
        greys = (10, st.session_state.get("grey", 20))
        image_row.row(
            [image_row.Tile(np.full((4, 4, 3), grey, np.uint8), "one") for grey in greys], key="row", label="Row"
        )

    monkeypatch.setattr(image_row, "_address", address)
    app = AppTest.from_function(page)
    shown = []
    for grey in (20, 30, 40, 50, 60, 70, 80):
        app.session_state.grey = grey
        shown.append([item["src"] for item in tiles(app.run(), "Row")])
    assert len({first for first, _ in shown}) == 1 and len({second for _, second in shown}) == 7
    assert handed == [10, 20, 30, 40, 50, 60, 70, 80]
    assert sorted(map(shade, files.values())) == [10, 40, 50, 60, 70, 80] and image_row.STORED_VERSIONS == 3
    app.session_state.grey = 60  # back to one that is still there
    app.run()
    assert len(handed) == 8
    app.session_state.whole = True  # the server has let go of all of them
    app.run()
    assert handed[8:] == [10, 60]


def test_two_large_files_have_two_addresses_though_only_their_middle_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SimpleNamespace(media_file_mgr=MediaFileManager(MemoryMediaFileStorage("/media")))
    monkeypatch.setattr(streamlit_adapter, "get_instance", lambda: server)
    first = np.zeros((700, 700, 3), np.uint8)
    second = first.copy()
    second[200, 350] = 255
    files = [image_row._png_file(pixels, None) for pixels in (first, second)]
    assert len(files[0][1]) == len(files[1][1]) > 1 << 20
    addresses = [ADDRESS(file, name, f"box {n}") for n, (name, file) in enumerate(files)]
    assert len(set(addresses)) == 2 and all(address.startswith("/media/") for address in addresses)


def test_a_job_reports_stops_and_fails_in_words() -> None:
    job = jobs.Job(data_set("key"), "text")

    def work(on_progress: object) -> int:
        for step in range(100):
            if on_progress(Progress("work", step, 100)):  # type: ignore[operator]
                return step
            if step == 4:
                job.cancel.set()
        return -1

    jobs._run(job, work)
    assert (job.result, job.state, job.is_alive) == (5, "done", False)

    def refuse(on_progress: object) -> None:
        raise InvalidInput("No.")

    def break_(on_progress: object) -> None:
        raise ZeroDivisionError

    told = jobs.Job(data_set("key"), "text")
    jobs._run(told, refuse)
    assert (told.error, told.state) == ("No.", "failed")
    broken = jobs.Job(data_set("key"), "text")
    jobs._run(broken, break_)
    assert "Something went wrong" in broken.error and "ZeroDivision" not in broken.error
    early = jobs.Job(data_set("key"), "text")
    early.cancel.set()
    jobs._run(early, break_)
    assert early.error == "" and early.result is None
