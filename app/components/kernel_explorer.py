"""The kernels of a defense kernel network on the screen: choose a pixel, see its weights and what each neighbor adds."""

from __future__ import annotations

import base64

import numpy as np
import streamlit as st

from app.components.image_row import CRISP, Pixels, data_uri
from core.analysis.denoising import KernelMaps, Values
from core.figures.colormaps import DIVERGING

STEPS = 32767  # of a signed 16-bit number, in which the values travel

_KERNELS = st.components.v2.component(
    "mirage_kernels",
    html="""<div id="all"><div id="w" tabindex="0" role="application"><img id="i" alt="" draggable="false">
<svg id="s" preserveAspectRatio="none"></svg></div><div id="k"></div></div><output id="o" aria-live="polite"></output>""",
    css="""
#all{display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start}
#w{position:relative;line-height:0;background:#777;padding:10px;border-radius:6px;width:min(340px,100%);box-sizing:border-box;
cursor:crosshair;touch-action:manipulation}
#w:focus-visible{outline:3px solid var(--st-primary-color);outline-offset:2px}
#i{width:100%;user-select:none}
.crisp{image-rendering:pixelated}
#s{position:absolute;inset:10px;width:calc(100% - 20px);height:calc(100% - 20px)}
rect{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}
rect.around{stroke:#fff}
rect.at{stroke:#D55E00}
#k{display:grid;grid-template-columns:auto auto auto;gap:6px 16px;align-items:center;font:.85rem var(--st-font);color:var(--st-text-color)}
#k .head{font-weight:600}
#k .grid{display:grid;gap:1px;width:max-content}
#k .cell{box-sizing:border-box;padding:0 .2em;min-width:3.4em;height:1.75em;display:flex;align-items:center;justify-content:center;
font-size:.72rem;font-variant-numeric:tabular-nums}
#k .mid{outline:2px solid var(--st-text-color);outline-offset:-2px}
@media (max-width:640px){#k{grid-template-columns:auto}#k .head:first-child{display:none}#k .head{display:none}}
#o{display:block;font:.95rem var(--st-font);color:var(--st-text-color);padding-top:8px;min-height:3em;font-variant-numeric:tabular-nums}
""",
    js=r"""
export default function ({ data, parentElement }) {
  const $ = (q) => parentElement.querySelector(q), w = $('#w'), i = $('#i'), s = $('#s'), k = $('#k'), o = $('#o');
  const { height: H, width: W, channels: C, side: m, colors } = data, NS = 'http://www.w3.org/2000/svg', r = (m - 1) / 2;
  const read = (word) => new Int16Array(Uint8Array.from(atob(word), (c) => c.charCodeAt(0)).buffer);
  const weights = read(data.weights), added = read(data.added);
  w.setAttribute('aria-label', data.label); i.src = data.src; i.className = data.crisp ? 'crisp' : '';
  s.setAttribute('viewBox', `0 0 ${W} ${H}`);
  const held = parentElement._at;
  if (!held || held[0] >= H || held[1] >= W) parentElement._at = [H >> 1, W >> 1];
  const make = (name, set) => {
    const e = document.createElementNS(NS, name); for (const n in set) e.setAttribute(n, set[n]); return e; };
  const element = (kind, text = '') => {
    const e = document.createElement('div'); e.className = kind; e.textContent = text; return e; };
  const value = (all, top, n, c, y, x) => all[((n * C + c) * H + y) * W + x] * top / 32767;
  const color = (v, top) => colors[Math.max(0, Math.min(255, Math.round(127.5 + 127.5 * (top ? v / top : 0))))];
  const number = (v, digits) => v.toFixed(digits).replace(/^-(0(\.0*)?)$/, '$1').replace('-', '−');
  const draw = () => {
    const [y, x] = parentElement._at, names = C === 3 ? ['red', 'green', 'blue'] : [''];
    s.replaceChildren(make('rect', { x: x - r, y: y - r, width: m, height: m, class: 'around' }),
      make('rect', { x, y, width: 1, height: 1, class: 'at' }));
    const parts = [element('head'), element('head', 'weights'), element('head', `contributions, 0 to ${data.scale}`)], sums = [];
    for (let c = 0; c < C; c++) {
      const sets = [[weights, data.weight], [added, data.add]].map(([all, top]) => {
        const values = []; for (let n = 0; n < m * m; n++) values.push(value(all, top, n, c, y, x)); return values; });
      parts.push(element('name', names[c]));
      sets.forEach((values, which) => {
        const grid = element('grid'); grid.style.gridTemplateColumns = `repeat(${m}, auto)`;
        grid.setAttribute('role', 'img');
        const top = Math.max(...values.map(Math.abs));
        const words = values.map((v) => (which ? number(v * data.scale, 1) : number(v, 2)));
        values.forEach((v, n) => { const cell = element(n === (m * m - 1) / 2 ? 'cell mid' : 'cell', words[n]);
          cell.style.background = color(v, top); cell.style.color = Math.abs(v) > 0.6 * top ? '#fff' : '#111'; grid.append(cell); });
        grid.setAttribute('aria-label', `${names[c]} ${which ? 'contributions' : 'weights'}: ${words.join(', ')}`);
        parts.push(grid); });
      const sum = sets[1].reduce((a, b) => a + b, 0), total = sets[0].reduce((a, b) => a + b, 0);
      const old = data.values[(y * W + x) * C + c] / 255 * data.scale;
      sums.push(`${names[c] && names[c] + ': '}${number(old, 0)} → ${number(sum * data.scale, 1)} (weights add up to ${number(total, 2)})`);
    }
    k.replaceChildren(...parts);
    o.textContent = `Row ${y}, column ${x}, values from 0 to ${data.scale}. ${sums.join('; ')}.`;
  };
  const under = (e) => { const q = s.getBoundingClientRect(), cut = (v, top) => Math.max(0, Math.min(top - 1, Math.floor(v)));
    return [cut((e.clientY - q.top) / q.height * H, H), cut((e.clientX - q.left) / q.width * W, W)]; };
  w.onclick = (e) => { parentElement._at = under(e); draw(); };
  w.onkeydown = (e) => {
    const d = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key]; if (!d) return;
    e.preventDefault(); const at = parentElement._at;
    parentElement._at = [Math.max(0, Math.min(H - 1, at[0] + d[0])), Math.max(0, Math.min(W - 1, at[1] + d[1]))]; draw(); };
  draw();
}
""",
)


def kernel_explorer(pixels: Pixels, maps: KernelMaps, *, key: str, label: str) -> None:
    """An image H×W×C; a click or the arrow keys choose a pixel, whose kernels stand beside it, one for each channel."""
    count, channels, height, width = maps.weights.shape
    _KERNELS(
        key=key,
        data={
            "src": data_uri(pixels),
            "values": pixels.ravel().tolist(),
            "weights": _packed(maps.weights),
            "weight": float(np.abs(maps.weights).max()),
            "added": _packed(maps.contributions),
            "add": float(np.abs(maps.contributions).max()),
            "height": height,
            "width": width,
            "channels": channels,
            "side": round(count**0.5),
            "scale": 255,
            "crisp": max(height, width) <= CRISP,
            "colors": ["rgb({} {} {})".format(*color) for color in DIVERGING.tolist()],
            "label": f"{label}: click a pixel, or move with the arrow keys",
        },
    )


def _packed(values: Values) -> str:
    """Values as base64 of signed 16-bit numbers, the largest magnitude as 32767."""
    top = float(np.abs(values).max()) or 1.0
    return base64.b64encode(np.round(values * (STEPS / top)).astype("<i2").tobytes()).decode()
