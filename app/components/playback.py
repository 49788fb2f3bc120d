"""An attack step by step: a scrubber that plays in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import streamlit as st

from app.components.image_row import CRISP, data_uri
from core import images

BYTES = 6_000_000  # of pixels sent at most; a longer attack shows every second, third, ... image

_PLAYER = st.components.v2.component(
    "mirage_playback",
    html="""<div id="mat"><img id="i" alt=""></div><div id="bar"><button id="p" type="button"></button>
<div id="t"><input id="s" type="range" min="0" step="1"><div id="k" hidden></div></div></div><output id="o" aria-live="off"></output>""",
    css="""
#mat{background:#777;padding:10px;border-radius:6px;line-height:0;border-top:4px solid #D55E00;max-width:420px}
#i{width:100%;height:auto}
.crisp{image-rendering:pixelated}
#bar{display:flex;gap:10px;align-items:center;max-width:420px;padding-top:8px}
#t{flex:1;min-width:0;position:relative}
#s{width:100%;margin:0;accent-color:var(--st-primary-color);height:24px}
#k{position:absolute;bottom:-5px;width:3px;height:9px;margin-left:-1.5px;background:#D55E00;pointer-events:none}
#p{font:.9rem var(--st-font);color:var(--st-text-color);background:var(--st-secondary-background-color);
border:1px solid var(--st-border-color);border-radius:6px;padding:6px 12px;min-width:76px;cursor:pointer}
#p:focus-visible,#s:focus-visible{outline:3px solid var(--st-primary-color);outline-offset:2px}
#o{display:block;font:.95rem var(--st-font);color:var(--st-text-color);font-variant-numeric:tabular-nums;padding-top:4px}
""",
    js="""
export default function ({ data, parentElement }) {
  const $ = (q) => parentElement.querySelector(q), i = $('#i'), s = $('#s'), p = $('#p'), o = $('#o'), n = data.frames.length;
  s.max = n - 1; s.setAttribute('aria-label', 'Step of the attack'); i.className = data.crisp ? 'crisp' : '';
  const put = () => { const k = Math.min(+s.value, n - 1); i.src = data.frames[k];
    i.alt = o.textContent = data.captions[k];
    s.setAttribute('aria-valuetext', data.captions[k]); };
  const halt = () => { clearInterval(parentElement._t); parentElement._t = null; p.textContent = 'Play'; };
  const play = () => { if (+s.value >= n - 1) s.value = 0; p.textContent = 'Pause';
    parentElement._t = setInterval(() => { if (+s.value >= n - 1) return halt(); s.value = +s.value + 1; put(); },
      Math.max(60, 4000 / n)); };
  if (parentElement._id !== data.id) { parentElement._id = data.id; s.value = n - 1; }
  const k = $('#k'); k.hidden = data.first === null; k.title = 'fooled first';
  // The thumb's middle runs from half its width to the track's width less half of it.
  if (!k.hidden) k.style.left = `calc(8px + (100% - 16px) * ${n > 1 ? data.first / (n - 1) : 0})`;
  halt(); put();
  s.oninput = () => { halt(); put(); };
  p.onclick = () => parentElement._t ? halt() : play();
  return halt;
}
""",
)


def playback(
    frames: Sequence[npt.NDArray[np.uint8]],
    captions: Sequence[str],
    *,
    key: str,
    identity: str,
    first: int | None = None,
) -> None:
    """Scrub and play `frames`, each with its caption; arrow keys move by one step.

    Args:
        identity: changes with the attack.
        first: the number of the first frame that fools the classifier, marked by a tick; None where there is none.
    """
    every = max(1, -(-sum(frame.nbytes for frame in frames) // BYTES))
    indices = sorted({*range(0, len(frames), every), len(frames) - 1, *(() if first is None else (first,))})
    _PLAYER(
        key=key,
        data={
            "frames": [data_uri(frames[k]) for k in indices],
            "captions": [captions[k] for k in indices],
            "crisp": max(frames[0].shape[:2]) <= CRISP,
            "id": identity,
            "first": None if first is None else indices.index(first),
        },
    )


def save_animation(frames: Sequence[npt.NDArray[np.uint8]], *, key: str, name: str) -> None:
    """A small menu that makes the attack into one moving image, only when asked."""
    with st.popover("Save as a film", key=f"{key}_saves"):
        kinds: tuple[tuple[Literal["gif", "webp"], str], ...] = (
            ("webp", "WebP (every color)"),
            ("gif", "GIF (256 colors)"),
        )
        for kind, words in kinds:
            st.download_button(
                words,
                partial(images.animation, frames, kind),
                f"{name}.{kind}",
                f"image/{kind}",
                key=f"{key}_{kind}",
                on_click="ignore",
            )
