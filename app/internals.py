"""What the app needs of Streamlit and Streamlit does not offer: the one adapter to its internals, beside app/fragments.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile


def stepped_in_history() -> bool:
    """Whether this run of the page follows the browser's Back or Forward button."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


@dataclass(frozen=True)
class Taken:
    """An uploaded file, and the number that its widget knows it by."""

    number: str
    name: str
    data: bytes


def take_files(files: Iterable[object]) -> list[Taken]:
    """The uploaded files that are new, which the server drops: a widget would keep them until its user leaves."""
    context = get_script_run_ctx()
    taken = []
    for file in files:
        if isinstance(file, UploadedFile):  # else it was taken before
            taken.append(Taken(file.file_id, file.name, file.getvalue()))
            file.truncate(0)
            if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
                context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
    return taken


def file_numbers(files: Iterable[object]) -> set[str]:
    """The numbers of all files that a widget lists, those included that were taken."""
    return {str(getattr(file, "file_id", "")) for file in files}
