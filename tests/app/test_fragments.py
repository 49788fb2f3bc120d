"""Parts of a page that run again on their own, against the rules by which Streamlit sends and draws."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.local_script_runner import LocalScriptRunner

ROOT = Path(__file__).resolve().parents[2]
Node = dict[int, "Node"]  # the children of a place, by number


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch) -> list[LocalScriptRunner]:
    """The runners of all runs of AppTest, whose queues hold what goes to the browser."""
    kept: list[LocalScriptRunner] = []
    run = LocalScriptRunner.run

    def watched(self: LocalScriptRunner, *args: object, **kwargs: object) -> object:
        kept.append(self)
        return run(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalScriptRunner, "run", watched)
    return kept


def draw(page: Node, messages: list[ForwardMsg]) -> list[str]:
    """Put what is drawn in its places; what the browser would stop at."""
    wrong = []
    for message in messages:
        if not message.HasField("delta"):
            continue
        *above, last = message.metadata.delta_path
        place = page
        for step in above:
            if step not in place:
                wrong.append(f"no place for {list(message.metadata.delta_path)}")
                break
            place = place[step]
        else:
            if last > len(place):  # "Bad delta path index"
                wrong.append(f"nothing stands before {list(message.metadata.delta_path)}")
            elif message.delta.HasField("add_block"):
                place.setdefault(last, {})
            else:
                place[last] = {}
    return wrong


def two() -> None:
    """A page with two parts that run again by themselves, and something after them."""
    import streamlit as st

    from app.runtime.streamlit_adapter import fragment

    @fragment(run_every=1)
    def progress() -> None:
        st.progress(0.5)

    @fragment()
    def image() -> None:
        st.write("image")

    st.title("Title")
    progress()
    image()
    st.caption("the end")


def test_what_a_fragment_has_not_sent_yet_leaves_no_hole(runners: list[LocalScriptRunner]) -> None:
    """A fragment's turn comes before the browser got what the page drew, and the later one's first."""
    AppTest.from_function(two).run()
    queue = runners[0].forward_msg_queue
    every = list(queue._queue)
    ids = list(dict.fromkeys(m.delta.fragment_id for m in every if m.HasField("delta") and m.delta.fragment_id))
    assert len(ids) == 2
    drawn = {one: [m for m in every if m.HasField("delta") and m.delta.fragment_id == one] for one in ids}
    assert draw({0: {}, 1: {}, 2: {}}, every) == []
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=ids)  # Streamlit's, when the two run
    assert len(queue._queue) < len(every)
    page: Node = {0: {}, 1: {}, 2: {}}
    assert draw(page, list(queue._queue)) == []
    ends = [list(m.metadata.delta_path) for m in queue._queue if m.delta.new_element.HasField("markdown")]
    assert draw(page, drawn[ids[1]]) == []
    assert draw(page, drawn[ids[0]]) == []
    taken = [list(m.metadata.delta_path) for one in ids for m in drawn[one]]
    assert not any(path == end[: len(path)] for path in taken for end in ends)  # nothing of the page is drawn over


def stopped() -> None:
    """A page that draws its part the first time, and then ends early."""
    import streamlit as st

    from app.runtime.streamlit_adapter import fragment, page_run

    @fragment()
    def progress() -> None:
        st.progress(0.5)

    with page_run(lambda: None):
        if "again" in st.session_state:
            st.stop()
        st.session_state.again = True
        progress()


def test_a_page_that_ends_early_forgets_the_fragments_it_did_not_draw(runners: list[LocalScriptRunner]) -> None:
    app = AppTest.from_function(stopped).run()
    storage = runners[0]._fragment_storage
    [progress] = {m.delta.fragment_id for m in runners[0].forward_msgs() if m.delta.fragment_id}
    assert storage.contains(progress)
    app.run()
    assert runners[1]._fragment_storage is storage
    assert not storage.contains(progress)


def interrupted() -> None:
    """A page whose second run begins again before it has drawn anything."""
    import streamlit as st
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    from app.runtime.streamlit_adapter import fragment, page_run

    @fragment()
    def progress() -> None:
        st.button("Stop")

    st.session_state.run = st.session_state.get("run", 0) + 1
    storage = get_script_run_ctx().fragment_storage  # type: ignore[union-attr]
    st.session_state.held = len(storage._fragments)  # type: ignore[attr-defined]
    with page_run(lambda: None):
        if st.session_state.run == 2:
            st.rerun()
        progress()


def test_what_a_user_presses_while_a_page_begins_again_counts() -> None:
    app = AppTest.from_function(interrupted).run()
    assert app.session_state.held == 0
    app.run()
    assert (app.session_state.run, app.session_state.held) == (3, 1)


def test_every_fragment_of_the_app_has_its_own_place() -> None:
    for path in (*(ROOT / "app").glob("*.py"), *(ROOT / "pages").glob("*.py")):
        if path.name != "streamlit_adapter.py":
            assert not re.search(r"st\.fragment\(|@st\.fragment", path.read_text()), path
