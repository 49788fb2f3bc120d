"""Gradient windows on the screen: maps as colors, windows to hover and isolate, the threshold as a line to drag."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import streamlit as st
import torch

from app.components.image_row import CRISP, Pixels, data_uri
from app.plots.attack_plots import save_menu
from core import images
from core.defenses import LGS
from core.defenses.lgs import LGSTrace
from core.evaluate.overlap import Overlap, overlap
from core.figures.colormaps import CIVIDIS, levels
from core.figures.gradient_windows import BINS, window_means_figure
from core.recipe import AttackOutcome, Example
from core.threads import parallel_map

Values = npt.NDArray[np.floating]
Batch = torch.Tensor  # images N×C×H×W in [0, 1]


def clean_and_attacked(example: Example, attacked: AttackOutcome) -> Batch:
    """The clean and the attacked image, 2×C×H×W."""
    return torch.cat([example.images, images.to_tensor(attacked.adversarial)])


def trace_batch(defense: LGS, batch: Batch) -> LGSTrace:
    """All that gradients smoothing computes on a batch."""
    with torch.no_grad():
        return defense.trace(batch)


def for_both(work: Callable[[int], object]) -> None:
    """The work on each of the two images, on a core of its own."""
    parallel_map(work, (0, 1))


def patch_overlap(trace: LGSTrace, mask: Pixels) -> Overlap:
    """How well the estimated region agrees with the patch's mask H×W×1."""
    return overlap(trace.region, torch.from_numpy(np.array(mask)).permute(2, 0, 1)[None] > 0)


def highlight_region(pixels: Pixels, region: npt.NDArray[np.bool_]) -> Pixels:
    """The image, dark and gray outside the region H×W."""
    shown = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels
    result = _darkened(shown.tobytes(), shown.shape).copy()
    result[region] = shown[region]
    return result


@lru_cache(maxsize=8)
def _darkened(data: bytes, shape: tuple[int, ...]) -> Pixels:
    """The whole image H×W×3, which is the same wherever a slider stands."""
    total = np.frombuffer(data, np.uint8).reshape(shape).sum(2, dtype=np.float32, keepdims=True)
    return np.repeat((total * np.float32(0.35 / 3) + 20).astype(np.uint8), 3, 2)


_WINDOWS = st.components.v2.component(
    "mirage_windows",
    html="""<div id="w" tabindex="0" role="application"><img id="i" alt="" draggable="false">
<svg id="s" preserveAspectRatio="none"></svg></div>
<output id="o" aria-live="polite"></output>""",
    css="""
#w{position:relative;line-height:0;background:#777;padding:10px;border-radius:6px;max-width:460px;cursor:crosshair;touch-action:manipulation}
#w:focus-visible{outline:3px solid var(--st-primary-color);outline-offset:2px}
#i{width:100%;user-select:none}
.crisp{image-rendering:pixelated}
#s{position:absolute;inset:10px;width:calc(100% - 20px);height:calc(100% - 20px)}
rect{fill:none;stroke:rgb(255 255 255/.35);stroke-width:1;vector-effect:non-scaling-stroke}
rect.kept{fill:rgb(213 94 0/.22);stroke:#D55E00;stroke-width:1.5}
rect.at{stroke:#fff;stroke-width:3}
path{fill:rgb(0 0 0/.72)}
#o{display:block;font:.95rem var(--st-font);color:var(--st-text-color);padding-top:6px;min-height:3em;font-variant-numeric:tabular-nums}
""",
    js="""
export default function ({ data, parentElement }) {
  const $ = (q) => parentElement.querySelector(q), w = $('#w'), i = $('#i'), s = $('#s'), o = $('#o');
  const { tops, lefts, side, means, gamma, height, width } = data, NS = 'http://www.w3.org/2000/svg';
  w.setAttribute('aria-label', data.label); i.src = data.src; i.className = data.crisp ? 'crisp' : '';
  s.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const R = tops.length, C = lefts.length;
  if (!parentElement._at || parentElement._at[0] >= R || parentElement._at[1] >= C) parentElement._at = null;
  let alone = parentElement._alone && parentElement._at;
  const make = (name, set) => { const e = document.createElementNS(NS, name); for (const k in set) e.setAttribute(k, set[k]); return e; };
  const draw = () => {
    const at = parentElement._at, marks = [];
    if (alone) {
      const y = tops[at[0]], x = lefts[at[1]];
      marks.push(make('path', { 'fill-rule': 'evenodd', d: `M0 0H${width}V${height}H0Z M${x} ${y}h${side}v${side}h${-side}Z` }));
    } else for (let r = 0; r < R; r++) for (let c = 0; c < C; c++) {
      const kept = means[r][c] > gamma;
      if (kept || data.all) marks.push(make('rect', { x: lefts[c], y: tops[r], width: side, height: side, class: kept ? 'kept' : '' }));
    }
    if (at) marks.push(make('rect', { x: lefts[at[1]], y: tops[at[0]], width: side, height: side, class: 'at' }));
    s.replaceChildren(...marks);
    if (!at) { o.textContent = data.rest; return; }
    const mean = means[at[0]][at[1]], kept = mean > gamma;
    o.textContent = `Window ${at[0] + 1}, ${at[1] + 1}, from row ${tops[at[0]]}, column ${lefts[at[1]]}: mean ${mean.toFixed(4)} ` +
      `${kept ? '> γ' : '≤ γ'} ${gamma.toFixed(3)}, ${kept ? 'kept: smoothed' : 'left alone'}.` +
      (alone ? ' Click again for all.' : ' Click to isolate it.');
  };
  const nearest = (starts, v) => { let best = 0; starts.forEach((t, n) => {
    if (Math.abs(t + side / 2 - v) < Math.abs(starts[best] + side / 2 - v)) best = n; }); return best; };
  const under = (e) => { const q = s.getBoundingClientRect();
    return [nearest(tops, (e.clientY - q.top) / q.height * height), nearest(lefts, (e.clientX - q.left) / q.width * width)]; };
  w.onpointermove = (e) => { if (alone || e.pointerType === 'touch') return; parentElement._at = under(e); draw(); };
  w.onpointerleave = () => { if (alone || document.activeElement === w) return; parentElement._at = null; draw(); };
  const isolate = () => { alone = !alone && !!parentElement._at; parentElement._alone = alone; draw(); };
  w.onclick = (e) => { if (!alone) parentElement._at = under(e); isolate(); };
  w.onkeydown = (e) => {
    if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); parentElement._at = parentElement._at || [0, 0]; isolate(); return; }
    if (e.key === 'Escape') { alone = parentElement._alone = false; draw(); return; }
    const d = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key]; if (!d) return;
    e.preventDefault(); const at = parentElement._at || [0, 0];
    parentElement._at = [Math.max(0, Math.min(R - 1, at[0] + d[0])), Math.max(0, Math.min(C - 1, at[1] + d[1]))]; draw(); };
  draw();
}
""",
)


def explorer(trace: LGSTrace, which: int, gamma: float, *, key: str, label: str) -> None:
    """The normalized map of one image with its windows: hover tells a window's mean, click or Enter isolates it, arrows move."""
    values = trace.normalized[which].mean(0).numpy()
    n_kept = int(trace.kept[which].sum())
    _WINDOWS(
        key=key,
        data={
            "src": data_uri(levels(values), CIVIDIS),
            "tops": list(trace.tops),
            "lefts": list(trace.lefts),
            "side": trace.window,
            "means": trace.means[which].tolist(),
            "gamma": gamma,
            "height": values.shape[0],
            "width": values.shape[1],
            "all": trace.means[which].numel() <= 1200,
            "crisp": max(values.shape) <= CRISP,
            "label": f"{label}: hover or move with the arrow keys; click or Enter isolates a window",
            "rest": f"{label}: {n_kept} of {trace.means[which].numel()} windows are kept. Hover for a window's mean.",
        },
    )


_HISTOGRAM = st.components.v2.component(
    "mirage_histogram",
    html="""<div id="box"><svg id="s" role="img"></svg><div id="line" tabindex="0" role="slider"><span id="tag"></span></div></div>
<div id="legend"><span class="c"></span>clean <span class="a"></span>attacked</div>""",
    css="""
#box{position:relative;height:260px;touch-action:none;font:.8rem var(--st-font)}
#s{width:100%;height:100%;overflow:visible}
text{fill:var(--st-text-color);font:12px var(--st-font)}
.axis{stroke:var(--st-text-color);stroke-opacity:.4}
#line{position:absolute;top:0;bottom:28px;width:2px;margin-left:-1px;background:var(--st-text-color);cursor:ew-resize}
#line::before{content:'';position:absolute;inset:0 -11px}
#line:focus-visible{outline:3px solid var(--st-primary-color);outline-offset:2px}
#tag{position:absolute;top:-2px;left:6px;white-space:nowrap;color:var(--st-text-color);background:var(--st-background-color);padding:0 3px;
font-variant-numeric:tabular-nums}
#tag.left{left:auto;right:6px}
#legend{font:.9rem var(--st-font);color:var(--st-text-color);display:flex;gap:6px;align-items:center;padding-top:4px}
#legend span{width:12px;height:12px;border-radius:2px;display:inline-block}
#legend .c{background:#0072B2}
#legend .a{background:#D55E00;margin-left:10px}
""",
    js="""
export default function ({ data, parentElement, setStateValue }) {
  const $ = (q) => parentElement.querySelector(q), box = $('#box'), s = $('#s'), line = $('#line'), tag = $('#tag'), NS = 'http://www.w3.org/2000/svg';
  const W = 400, H = 232, n = data.clean.length, top = Math.max(1, ...data.clean, ...data.attacked), max = data.max;
  s.setAttribute('viewBox', '0 0 400 260'); s.setAttribute('preserveAspectRatio', 'none'); s.setAttribute('aria-label', data.label);
  const make = (name, set, text) => { const e = document.createElementNS(NS, name); for (const k in set) e.setAttribute(k, set[k]);
    if (text !== undefined) e.textContent = text; return e; };
  const marks = [], h = (v) => (v ? Math.max(2, (H - 16) * Math.log1p(v) / Math.log1p(top)) : 0);
  for (let k = 0; k < n; k++) [['clean', '#0072B2', 0], ['attacked', '#D55E00', 0.5]].forEach(([kind, fill, shift]) => {
    const v = data[kind][k], bar = make('rect', { x: (k + shift) * W / n, y: H - h(v), width: W / n / 2 - 0.5, height: h(v), fill });
    bar.append(make('title', {}, `${kind}: ${v} windows from ${(k * max / n).toFixed(3)} to ${((k + 1) * max / n).toFixed(3)}`));
    marks.push(bar); });
  marks.push(make('line', { x1: 0, x2: W, y1: H, y2: H, class: 'axis' }));
  s.replaceChildren(...marks);
  let ticks = $('#ticks'); if (!ticks) { ticks = document.createElement('div'); ticks.id = 'ticks'; box.append(ticks);
    Object.assign(ticks.style, { position: 'absolute', left: 0, right: 0, bottom: '2px', display: 'flex', justifyContent: 'space-between',
      color: 'var(--st-text-color)' }); }
  ticks.replaceChildren(...[0, .25, .5, .75, 1].map((t) => { const e = document.createElement('span');
    e.textContent = (t * max).toFixed(2); return e; }));
  let gamma = data.gamma;
  const put = () => { const x = Math.min(1, gamma / max); line.style.left = 100 * x + '%'; tag.textContent = `γ ${gamma.toFixed(3)}`;
    tag.className = x > .7 ? 'left' : ''; line.setAttribute('aria-valuenow', gamma.toFixed(3)); };
  line.setAttribute('aria-label', 'γ, the threshold'); line.setAttribute('aria-valuemin', 0); line.setAttribute('aria-valuemax', 1);
  const cut = (v) => Math.round(1000 * Math.max(0, Math.min(1, v))) / 1000;
  const at = (e) => { const q = box.getBoundingClientRect(); return cut(max * Math.max(0, Math.min(1, (e.clientX - q.left) / q.width))); };
  const tell = () => setStateValue('gamma', gamma);
  let moving = false, waits = null;
  box.onpointerdown = (e) => { moving = true; box.setPointerCapture(e.pointerId); gamma = at(e); put(); };
  box.onpointermove = (e) => { if (moving) { gamma = at(e); put(); } };
  box.onpointerup = () => { if (moving) { moving = false; tell(); } };
  line.onkeydown = (e) => { const d = { ArrowLeft: -.005, ArrowRight: .005, ArrowDown: -.005, ArrowUp: .005 }[e.key]; if (!d) return;
    e.preventDefault(); gamma = cut(gamma + d); put(); clearTimeout(waits); waits = setTimeout(tell, 250); };
  put();
}
""",
)


def histogram(trace: LGSTrace, gamma: float, *, key: str, moved: Callable[[float], None]) -> None:
    """How many windows have which mean, of the clean image and of the attacked one, and γ as a line that can be dragged."""
    top = max(0.05, 1.15 * float(trace.means.max()), 1.1 * gamma)
    counts = [np.histogram(means.numpy(), BINS, (0, top))[0] for means in trace.means]

    def report_threshold() -> None:
        value = st.session_state[key]["gamma"]
        if value is not None:
            moved(float(value))

    _HISTOGRAM(
        key=key,
        data={
            "clean": counts[0].tolist(),
            "attacked": counts[1].tolist(),
            "max": top,
            "gamma": gamma,
            "label": f"Histogram of window means, {int(trace.kept[1].sum())} of the attacked image's lie above γ",
        },
        default={"gamma": None},
        on_gamma_change=report_threshold,
    )
    save_menu(partial(window_means_figure, trace.means.numpy(), gamma, top), key, "window_means")
