"""The picture, what the classifier sees in it, and the doors onward."""

import streamlit as st

from app import door, session, theme
from app.pictures import Tile, row
from app.words import per_cent, start_verdict
from core import domains

door.enter()
scene = session.scene()
if scene is None:
    st.stop()
assert scene is not None
classes = scene.classifier.classes
domain = domains.get(session.recipe().domain)

theme.verdict(start_verdict(scene.before, classes, scene.label, scene.label_known))

picture, words = st.columns([1, 1], gap="large")
with picture:
    row(
        [
            Tile(
                scene.clean,
                "The picture",
                "",
                "clean",
                file_name="clean.png",
                alt=f"The picture that is {classes[scene.label]}",
            )
        ],
        key="start_picture",
        label="The picture",
        width=320,
    )
with words:
    st.subheader("What the classifier sees", anchor=False)
    for number, share in scene.before.top:
        true = " ✓" if scene.label_known and number == scene.label else ""
        st.progress(share, text=f"{theme.plain(classes[number])}{true} · {per_cent(share)}")
    st.caption(f"{scene.classifier.title}. {domain.classifier_note(scene.classifier.name)}")

st.space("small")
doors = st.columns(3)
with doors[0], st.container(border=True, height="stretch"):
    st.subheader("Fool it", anchor=False)
    st.write("Change the picture a little until the classifier sees something else, step by step.")
    if st.button("Attack this picture", type="primary", icon=":material/bolt:", key="door_attack"):
        st.switch_page("pages/attack.py")
with doors[1], st.container(border=True, height="stretch"):
    st.subheader("Defend it", anchor=False)
    st.write("Put defenses side by side, against an attacker who does not know them and one who does.")
    if st.button("Compare defenses", icon=":material/shield:", key="door_defend"):
        st.switch_page("pages/defend.py")
with doors[2], st.container(border=True, height="stretch"):
    st.subheader("Bring your own", anchor=False)
    st.write("Upload, paste or photograph a picture, or choose another domain, in the sidebar.")
    if st.button("Use a picture of yours", icon=":material/upload:", key="door_upload", on_click=lambda: _own()):
        st.rerun()


def _own() -> None:
    st.session_state.side_source = "upload"
