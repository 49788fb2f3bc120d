"""Where the patch lies: picked on the image itself, by click, drag or arrow key; and a map of where it works."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st

from app.components.image_row import CRISP, Pixels, data_uri
from app.text import mark, per_cent
from core.analysis.patch_location import LocationMap

_PICKER = st.components.v2.component(
    "mirage_place",
    html="""<div id="w" tabindex="0" role="application"><img id="i" alt="" draggable="false"><div id="r"></div></div>
<output id="o" aria-live="polite"></output>""",
    css="""
#w{position:relative;touch-action:none;cursor:crosshair;line-height:0;max-width:260px}
#w:focus-visible{outline:3px solid var(--st-primary-color);outline-offset:2px}
#i{width:100%;user-select:none;border-radius:4px}
.crisp{image-rendering:pixelated}
#r{position:absolute;border:2px solid #fff;outline:2px solid #D55E00;background:rgb(213 94 0/.35);pointer-events:none;box-sizing:border-box}
#o{display:block;font:.85rem var(--st-font);color:var(--st-text-color);padding-top:4px;font-variant-numeric:tabular-nums}
""",
    js="""
export default function ({ data, parentElement, setStateValue }) {
  const $ = (q) => parentElement.querySelector(q), w = $('#w'), i = $('#i'), r = $('#r'), o = $('#o'), side = data.side;
  w.setAttribute('aria-label', 'Place of the patch: click, drag or use the arrow keys'); i.src = data.src;
  i.className = data.crisp ? 'crisp' : '';
  const cut = (v) => Math.max(0, Math.min(1, v));
  let spot = data.spot;
  const draw = () => { r.hidden = !spot;
    if (!spot) { o.textContent = 'At random. Click the image to choose a place.'; return; }
    Object.assign(r.style, { top: spot[0] * (1 - side) * 100 + '%', left: spot[1] * (1 - side) * 100 + '%',
      width: side * 100 + '%', height: side * 100 + '%' });
    o.textContent = `row ${spot[0].toFixed(2)}, column ${spot[1].toFixed(2)}`; };
  const at = (e) => { const q = i.getBoundingClientRect(), free = Math.max(1e-6, 1 - side);
    return [cut(((e.clientY - q.top) / q.height - side / 2) / free), cut(((e.clientX - q.left) / q.width - side / 2) / free)]; };
  const tell = () => setStateValue('spot', spot.map((v) => Math.round(v * 100) / 100));
  let moving = false;
  w.onpointerdown = (e) => { moving = true; w.setPointerCapture(e.pointerId); spot = at(e); draw(); };
  w.onpointermove = (e) => { if (moving) { spot = at(e); draw(); } };
  w.onpointerup = () => { if (moving) { moving = false; tell(); } };
  w.onkeydown = (e) => { const d = { ArrowLeft: [0, -.05], ArrowRight: [0, .05], ArrowUp: [-.05, 0], ArrowDown: [.05, 0] }[e.key];
    if (!d) return; e.preventDefault(); spot = spot || [.5, .5]; spot = [cut(spot[0] + d[0]), cut(spot[1] + d[1])]; draw();
    clearTimeout(w._t); w._t = setTimeout(tell, 300); };
  draw();
}
""",
)


def pick_location(
    pixels: Pixels,
    side: float,
    spot: tuple[float, float] | None,
    *,
    key: str,
    put: Callable[[float, float], None],
) -> None:
    """The image with the patch's outline; where the user puts it goes to `put`.

    `side` is the patch's share of the image's side, `spot` its row and column in [0, 1], None while it is left to chance.
    """

    def moved() -> None:
        chosen = st.session_state[key]["spot"]
        if chosen:
            put(float(chosen[0]), float(chosen[1]))

    _PICKER(
        key=key,
        data={
            "src": data_uri(pixels),
            "side": side,
            "spot": list(spot) if spot else None,
            "crisp": max(pixels.shape[:2]) <= CRISP,
        },
        default={"spot": None},
        on_spot_change=moved,
    )


def location_plot(result: LocationMap, target: str, *, key: str) -> None:
    """The target's confidence at each place as a heat map, reached or not in each cell."""
    text = [
        [f"{mark(hit)} {per_cent(sure)}" for hit, sure in zip(hits, row, strict=True)]
        for hits, row in zip(result.reached, result.confidence, strict=True)
    ]
    count, total = sum(map(sum, result.reached)), len(result.rows) * len(result.columns)
    figure = go.Figure(
        go.Heatmap(
            z=result.confidence,
            x=result.columns,
            y=result.rows,
            text=text,
            texttemplate="%{text}",
            colorscale="Cividis",
            zmin=0,
            zmax=1,
            colorbar={"tickformat": ".0%", "title": target},
            hovertemplate="row %{y:.2f}, column %{x:.2f}: %{z:.1%}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", title="row", tickvals=result.rows)
    figure.update_xaxes(title="column", tickvals=result.columns)
    figure.update_layout(height=360, margin={"l": 8, "r": 8, "t": 8, "b": 8}, dragmode=False)
    st.plotly_chart(
        figure,
        key=key,
        theme="streamlit",
        config={"displayModeBar": False},
        alt=f"Confidence of {target} at each place of the patch",
    )
    st.caption(
        f"The patch reaches {target} at {count} of {total} places; each cell is one attack with the same budget (✓ reached)."
    )
