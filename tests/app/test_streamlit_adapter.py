"""What the adapter relies on in Streamlit: when a new version changes it, this says so before anything else does."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import streamlit as st
from streamlit.runtime.fragment import MemoryFragmentStorage
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
ADAPTER = ROOT / "app" / "runtime" / "streamlit_adapter.py"


def test_the_version_is_the_one_that_the_adapter_was_written_for() -> None:
    pinned = re.search(r"^streamlit==([\d.]+)\s", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned is not None, "requirements.txt must pin Streamlit exactly"
    assert st.__version__ == pinned[1], (
        f"Streamlit {st.__version__} is installed, and app/streamlit_adapter.py was written for {pinned[1]}. "
        "Go through the tests of this file and the browser tests before the pin is moved."
    )


def test_streamlit_still_has_what_the_adapter_uses() -> None:
    def page() -> None:
        import streamlit as st
        from streamlit.runtime.scriptrunner import get_script_run_ctx

        context = get_script_run_ctx()
        assert context is not None
        for name in ("is_history_navigation", "uploaded_file_mgr", "session_id", "fragment_storage", "shared"):
            if not hasattr(context, name):
                st.error(f"A script's context has no {name} any more.")
        if not hasattr(context.shared.new_fragment_ids, "snapshot"):
            st.error("new_fragment_ids has no snapshot any more.")

    app = AppTest.from_function(page).run()
    assert not app.exception and not app.error, [one.value for one in app.error]
    expected = {
        MediaFileManager.add: {"path_or_data", "mimetype", "coordinates", "file_name"},
        MemoryUploadedFileManager.remove_file: {"session_id", "file_id"},
        MemoryFragmentStorage.clear: {"new_fragment_ids"},
    }
    for function, names in expected.items():
        missing = names - set(inspect.signature(function).parameters)
        assert not missing, f"{function.__qualname__} takes no {', '.join(sorted(missing))} any more"
    assert isinstance(PagesManager.uses_pages_directory, bool | None), "PagesManager.uses_pages_directory is gone"
    assert get_script_run_ctx() is None, "outside of a script there is a context now"


def test_nothing_else_imports_streamlits_internals() -> None:
    public = {"streamlit", "streamlit.delta_generator"}
    wrong = []
    for path in (ROOT / "streamlit_app.py", *(ROOT / "app").rglob("*.py"), *(ROOT / "pages").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            wrong += [
                f"{path.relative_to(ROOT)} imports {name}"
                for name in names
                if name.startswith("streamlit.") and name not in public and path != ADAPTER
            ]
        if path != ADAPTER:
            assert "shadowRoot" not in path.read_text(encoding="utf-8"), path
    assert not wrong
