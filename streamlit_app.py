"""The door: page set-up, navigation, sidebar; nothing else.

The server imports this file once, when it starts, and runs it as __main__ for every visitor.
"""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from app import live, session, theme
from app.sidebar import sidebar

if __name__ == "__main__":
    st.set_page_config(page_title="Mirage", page_icon="🫥", layout="wide")
    theme.apply()
    st.logo("assets/logo.svg", size="large")
    page = st.navigation(
        [
            st.Page("pages/start.py", title="Start", icon=":material/home:", default=True),
            st.Page(
                "pages/attack.py",
                title="Attack",
                icon=":material/bolt:",
                url_path="attack",
                help="Fool the classifier.",
            ),
            st.Page(
                "pages/compare.py",
                title="Compare",
                icon=":material/view_column:",
                url_path="compare",
                help="Several attacks at the same budget.",
            ),
            st.Page(
                "pages/defend.py",
                title="Defend",
                icon=":material/shield:",
                url_path="defend",
                help="Put defenses side by side.",
            ),
            st.Page(
                "pages/windows.py",
                title="Windows",
                icon=":material/window:",
                url_path="windows",
                help="Gradients smoothing, step by step.",
            ),
            st.Page(
                "pages/evaluate.py",
                title="Evaluate",
                icon=":material/grid_on:",
                url_path="evaluate",
                help="Attacks and defenses on many pictures.",
            ),
        ],
        position="top",
    )
    session.recipe()
    sidebar()
    session.mirror()
    session.complaint()
    if session.scene() is None:
        live.classifier()
    else:
        page.run()
else:
    # Until the first st.navigation of a process, Streamlit takes a folder called pages/ for its older kind of app: a link
    # to /attack opened first would run that file alone, without this one. And what is imported here already, no visitor
    # waits for.
    PagesManager.uses_pages_directory = False
    app = st.App(__file__)
