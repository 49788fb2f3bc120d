"""The door: page set-up, navigation, sidebar; nothing else.

The server imports this file once, when it starts, and runs it as __main__ for every user.
"""

import streamlit as st
from starlette.middleware import Middleware

from app.components import image_row
from app.runtime import background, evaluation_jobs, examples, progress
from app.runtime.first_paint import FirstPaint
from app.runtime.streamlit_adapter import page_run, without_pages_folder
from app.sections.sidebar import sidebar
from app.state import session
from app.state.owner import BrowserCookie
from core import memory

memory.tune_malloc()

if __name__ == "__main__":
    st.set_page_config(page_title="Mirage", page_icon="🫥", layout="wide")
    image_row.reset()
    # Before the navigation: the browser then puts a page's address and its recipe into one entry of its history.
    session.read_query_params()
    session.sync_query_params()
    st.logo("assets/logo.svg", size="large")
    page = st.navigation(
        {
            "": [
                st.Page("pages/start.py", title="Start", icon=":material/home:", default=True),
                *(
                    st.Page(f"pages/{name}.py", title=title, icon=f":material/{icon}:", url_path=name, help=words)
                    for name, title, icon, words in (
                        ("attack", "Attack", "bolt", "Fool the classifier."),
                        ("compare", "Compare", "view_column", "Several attacks at the same budget."),
                        ("defend", "Defend", "shield", "Put defenses side by side."),
                        ("windows", "Gradient windows", "window", "Gradients smoothing, step by step."),
                        ("detect", "Detect", "troubleshoot", "Tell attacked images from clean ones."),
                        ("certify", "Certify", "verified_user", "What no attack inside a threat model can do."),
                        ("evaluate", "Evaluate", "grid_on", "Attacks and defenses on many images."),
                        ("training", "Training", "model_training", "Train classifiers, denoisers and attention masks."),
                        ("models", "Models", "inventory_2", "Cards, comparison and transfer of classifiers."),
                    )
                ),
            ],
            "See why": [
                st.Page(f"pages/{name}.py", title=title, icon=f":material/{icon}:", url_path=name, help=words)
                for name, title, icon, words in (
                    ("denoisers", "Denoisers", "healing", "What a trained denoiser removes."),
                    ("gradcam", "Grad-CAM", "thermostat", "Where the classifier looks."),
                    ("features", "Feature noise", "layers", "How a small change grows from layer to layer."),
                    ("masks", "Attention masks", "blur_on", "What the classifier needs of an image."),
                    ("landscape", "Landscape", "landscape", "The ground around an image."),
                )
            ],
        },
        position="top",
    )
    with page_run(background.rerun_if_asked):
        session.show_error()
        background.poll_jobs()
        sidebar()
        session.show_new_error()
        if examples.current() is None:
            progress.show_unavailable()
        else:
            page.run()
else:
    without_pages_folder()
    # What is imported here already, nobody waits for.
    middleware = [Middleware(BrowserCookie), Middleware(FirstPaint)]
    app = st.App(__file__, middleware=middleware, lifespan=evaluation_jobs.lifespan)
