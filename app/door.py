"""Every screen is entered through streamlit_app.py, also by the first visitor of a fresh server who follows a deep link."""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager


def enter() -> None:
    """Leave a page that Streamlit runs by itself, and come back through the door.

    A folder called pages/ makes Streamlit take the app for its old kind, in which each file is a page of its own, until the first
    st.navigation of the process. A deep link in the very first session then runs the page's file alone: no sidebar, no style.
    There is no public switch for it. Once the flag is down, the rerun finds the same page through st.navigation.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
