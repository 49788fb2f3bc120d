"""Two images at one place: blink between them, or hold to see the other."""

from __future__ import annotations

import streamlit as st

from app.components.image_row import CRISP, Pixels, data_uri

_TOGGLE = st.components.v2.component(
    "mirage_blink",
    html="""<div id="mat"><img id="i" alt=""></div><div id="bar"><button id="b" type="button">Blink</button>
<button id="h" type="button">Hold for the clean image</button></div><output id="o" aria-live="off"></output>""",
    css="""
#mat{background:#777;padding:10px;border-radius:6px;line-height:0;border-top:4px solid #D55E00;max-width:420px}
#mat.clean{border-top-color:#0072B2}
#i{width:100%;height:auto}
.crisp{image-rendering:pixelated}
#bar{display:flex;flex-wrap:wrap;gap:10px;padding-top:8px}
button{font:.9rem var(--st-font);color:var(--st-text-color);background:var(--st-secondary-background-color);
border:1px solid var(--st-border-color);border-radius:6px;padding:6px 12px;min-width:76px;cursor:pointer;touch-action:none}
button:focus-visible{outline:3px solid var(--st-primary-color);outline-offset:2px}
#o{display:block;font:.95rem var(--st-font);color:var(--st-text-color);padding-top:6px}
@media (prefers-reduced-motion:reduce){#b{display:none}}
""",
    js="""
export default function ({ data, parentElement }) {
  const $ = (q) => parentElement.querySelector(q), i = $('#i'), b = $('#b'), h = $('#h'), mat = $('#mat');
  i.className = data.crisp ? 'crisp' : '';
  const put = (k) => { parentElement._k = k; i.src = data.images[k]; i.alt = $('#o').textContent = data.words[k];
    mat.className = k ? '' : 'clean'; };
  const halt = () => { clearInterval(parentElement._t); parentElement._t = null; b.textContent = 'Blink'; };
  b.onclick = () => { if (parentElement._t) return halt(); b.textContent = 'Stop';
    parentElement._t = setInterval(() => put(1 - parentElement._k), 500); };
  const show = (k) => () => { halt(); put(k); };
  h.onpointerdown = show(0); h.onpointerup = h.onpointerleave = h.onblur = () => { if (!parentElement._t) put(1); };
  h.onkeydown = (e) => { if (e.key === ' ' || e.key === 'Enter') { e.preventDefault(); show(0)(); } };
  h.onkeyup = show(1);
  halt(); put(1);
  return halt;
}
""",
)


def ab_toggle(clean: Pixels, other: Pixels, words: tuple[str, str], *, key: str) -> None:
    """The second image; the first while a button is held, or in turn twice a second. `words` stand under each."""
    _TOGGLE(
        key=key,
        data={
            "images": [data_uri(clean), data_uri(other)],
            "words": list(words),
            "crisp": max(clean.shape[:2]) <= CRISP,
        },
    )
