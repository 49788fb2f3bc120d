"""What a screen shows while a job runs."""

from __future__ import annotations

import streamlit as st

from app import session
from app.theme import crisp_key
from app.words import duration


def running(key_prefix: str) -> bool:
    """Progress and a Stop button, if this visitor's job has a key of that kind; True while it runs."""
    session.collect()
    job = session.job()
    if job is None or not job.key.startswith(key_prefix):
        return False
    _progress()
    return True


@st.fragment(run_every=0.4)
def _progress() -> None:
    job = session.job()
    if job is None or not job.live:
        st.rerun()
    assert job is not None
    if job.state == "queued":
        text = "Waiting for a turn on the device"
    else:
        left = f", {duration(job.left)} left" if job.left is not None else ""
        text = f"{job.text}: {job.done:,} of {job.total:,}{left}"
    st.progress(min(1.0, job.done / max(1, job.total)), text=text)
    if st.button("Stop", key="stop", icon=":material/stop:", disabled=job.cancel.is_set()):
        job.cancel.set()
    if job.frame is not None:
        with st.container(key=crisp_key("live", job.frame)):
            st.image(
                job.frame,
                width=200,
                output_format="PNG",
                caption=f"step {job.done}",
                alt="The adversarial picture so far",
            )
