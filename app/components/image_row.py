"""Images on the light table: each can be enlarged and saved, bit for bit."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import streamlit as st

from app.runtime.streamlit_adapter import FIND_IN_COMPONENT, media_file
from core import images

Pixels = npt.NDArray[np.uint8]
Role = Literal["clean", "adversarial", "defended", "neutral"]
COLORS: dict[str, str] = {"clean": "#0072B2", "adversarial": "#D55E00", "defended": "#009E73", "neutral": "#8a8f98"}
MAX_CACHED = 1 << 19  # values; a larger image is not remembered
STORED_VERSIONS = 3  # rows' files are kept of what a row last showed: the browser may still be fetching them
BROWSER_SECONDS = 0.09  # seconds a browser needs to fetch and draw a row
CRISP = 64  # images up to this side are drawn as squares, not smoothed


@dataclass(frozen=True)
class Tile:
    """One image with its words. `sign` stands before it: +, =, →."""

    pixels: Pixels
    title: str
    caption: str = ""
    role: Role = "neutral"
    sign: str = ""
    file_name: str = "image.png"
    alt: str = ""
    links: tuple[tuple[str, str], ...] = ()  # words and addresses that stand under the caption
    palette: Pixels | None = None  # 256×3: what the values of an image of one channel stand for
    deferred_caption: bool = False  # its caption follows, by `set_caption`; until then the last one stands there, faint


def data_uri(pixels: Pixels, palette: Pixels | None = None) -> str:
    """The image as a PNG data URI."""
    return "data:image/png;base64," + base64.b64encode(_png_file(pixels, palette, level=1)[1]).decode()


def _png_file(pixels: Pixels, palette: Pixels | None, level: int = 0) -> tuple[str, bytes]:
    """A name that only this image has, and its PNG file; what is saved from the screen are these very bytes.

    At the next movement of a slider most images are as they were: those are not encoded again.
    """
    encode = _encoded if pixels.size <= MAX_CACHED else _encoded.__wrapped__
    return encode(pixels.tobytes(), pixels.shape, b"" if palette is None else palette.tobytes(), level)


@lru_cache(maxsize=96)
def _encoded(data: bytes, shape: tuple[int, ...], palette: bytes, level: int) -> tuple[str, bytes]:
    pixels = np.frombuffer(data, np.uint8).reshape(shape)
    colors = np.frombuffer(palette, np.uint8).reshape(-1, 3) if palette else None
    file = images.png(pixels, level, colors)
    return hashlib.blake2b(file, digest_size=12).hexdigest(), file


_ROW = st.components.v2.component(
    "mirage_tiles",
    html="""<div id="row" role="list"></div><dialog id="large"><form method="dialog"><img alt=""><p></p>
<button autofocus>Close</button></form></dialog>""",
    css="""
#row{display:grid;column-gap:14px;grid-template-columns:repeat(auto-fit,minmax(min(var(--tile),100%),1fr));align-items:start}
#row.signs{display:flex;flex-wrap:wrap;justify-content:flex-start;row-gap:14px}
#row.signs figure{display:block;flex:1 1 var(--tile);max-width:calc(var(--tile)*1.7);container-type:inline-size}
figure{margin:0;min-width:0;font-family:var(--st-font);display:grid;grid-template-rows:subgrid;grid-row:span 3;padding-bottom:14px}
.mat{background:#777;padding:10px;border-radius:6px;border-top:4px solid var(--tone);line-height:0;cursor:zoom-in;border-inline:0;
border-bottom:0;width:100%;display:block;box-sizing:border-box}
.mat:focus-visible,a:focus-visible,dialog button:focus-visible{outline:3px solid var(--st-primary-color);outline-offset:2px}
.mat img{width:100%;height:auto;aspect-ratio:var(--ratio)}
.crisp{image-rendering:pixelated}
.head{display:flex;gap:8px;align-items:last baseline;align-self:end;justify-content:space-between;margin:0 0 4px;
color:var(--st-text-color);font-size:.95rem}
.head b{font-weight:600;overflow-wrap:anywhere}
/* In a small tile a link that does not fit beside its title stands under it, and no word of the title is broken. */
#row.narrow .head{flex-wrap:wrap;gap:0 8px}
#row.narrow .head b{overflow-wrap:break-word}
.sign{font-size:1.5rem;line-height:1;font-weight:400;margin-right:6px}
/* Where a word and its link have no room beside each other, they stand under each other in every tile, so that the images stay level. */
@container (max-width:180px){.head{flex-direction:column;align-items:flex-start;gap:0}.sign{font-size:1.05rem;margin-right:3px}}
a{color:var(--st-text-color);font-size:.85rem;text-underline-offset:2px;padding:4px 2px;white-space:nowrap}
figcaption.stale{opacity:.4}
figcaption{color:var(--st-text-color);font-size:.95rem;padding-top:6px;overflow-wrap:anywhere;font-variant-numeric:tabular-nums;min-height:1.5em}
.links{display:flex;gap:10px;flex-wrap:wrap}
dialog{border:0;border-radius:10px;padding:16px;background:#777;max-width:96vw;max-height:96vh;text-align:center}
dialog::backdrop{background:rgba(0,0,0,.6)}
dialog img{width:min(86vw,78vh);height:auto;max-height:78vh;object-fit:contain}
dialog p{color:#fff;margin:8px 0;font:1rem var(--st-font)}
dialog button{font:1rem var(--st-font);padding:8px 18px;border-radius:6px;border:1px solid #333;background:#fff;color:#111;cursor:pointer}
""",
    js="""
export default function ({ data, parentElement }) {
  const row = parentElement.querySelector('#row'), large = parentElement.querySelector('#large');
  // Where the app lives, which need not be the root of its server: where the page's own program came from.
  const program = [...document.scripts].map((s) => s.src.split('/static/js/')).find((parts) => parts.length > 1);
  for (const item of data.items) if (!item.src.startsWith('http')) item.src = (program ? program[0] : '') + item.src;
  const put = (node, name, value) => { if (node.getAttribute(name) !== value) node.setAttribute(name, value); };
  if (row.style.getPropertyValue('--tile') !== data.tile + 'px') row.style.setProperty('--tile', data.tile + 'px');
  put(row, 'class', data.signs ? 'signs' : data.tile <= 120 ? 'narrow' : ''); put(row, 'aria-label', data.label);
  if (row.token !== data.token) { row.token = data.token; row.fresh = false; }
  // Where only images and words differ, the page is laid out already: a tile stays, and they change in it.
  const shapes = data.items.map((item) => JSON.stringify({ ...item, src: '', caption: '', alt: '' }));
  const stays = shapes.map((shape, number) => !!row.children[number] && row.children[number].shape === shape);
  // An image that was here already is not fetched again; a new one takes an old one's place, which shows that until it has come.
  const wanted = new Set(data.items.map((item) => item.src)), old = [...row.querySelectorAll('img')];
  const before = new Map(old.filter((_, number) => !stays[number]).map((image) => [image.getAttribute('src'), image]));
  const made = (item, number) => {
    const figure = document.createElement('figure'); figure.setAttribute('role', 'listitem');
    figure.style.setProperty('--tone', item.color); figure.style.setProperty('--ratio', item.ratio);
    const head = document.createElement('div'); head.className = 'head';
    const title = document.createElement('b');
    if (item.sign) { const s = document.createElement('span'); s.className = 'sign'; s.textContent = item.sign; title.append(s); }
    // A name such as imagenette_resnet breaks after its underscore.
    item.title.split(/(?<=_)/).forEach((part, n) => title.append(...(n ? [document.createElement('wbr')] : []), part));
    const save = document.createElement('a'); save.download = item.file; save.textContent = 'Save';
    save.setAttribute('aria-label', 'Save ' + item.title + ' as PNG');
    head.append(title, save);
    const mat = document.createElement('button'); mat.className = 'mat'; mat.type = 'button';
    mat.setAttribute('aria-label', 'Enlarge ' + item.title);
    const free = old[number] && !wanted.has(old[number].getAttribute('src')) ? old[number] : document.createElement('img');
    const image = before.get(item.src) || free; before.delete(item.src);
    image.className = item.crisp ? 'crisp' : '';
    mat.append(image);
    mat.onclick = () => { const i = large.querySelector('img'), { src, alt, crisp, title, caption } = figure.item;
      i.src = src; i.alt = alt; i.className = crisp ? 'crisp' : '';
      large.querySelector('p').textContent = title + (caption ? ': ' + caption : ''); large.showModal(); };
    const caption = document.createElement('figcaption'), words = document.createElement('span'); caption.append(words);
    if (item.links.length) {
      const links = document.createElement('div'); links.className = 'links';
      links.append(...item.links.map(([word, href]) => { const a = document.createElement('a'); a.textContent = word; a.href = href;
        a.target = '_blank'; a.rel = 'noopener'; a.setAttribute('aria-label', 'Open ' + item.title + ' in ' + word + ', in a new tab');
        return a; }));
      caption.append(links);
    }
    figure.append(head, mat, caption); figure.parts = { save, image, caption, words };
    return figure;
  };
  const figures = data.items.map((item, number) => {
    const figure = stays[number] ? row.children[number] : made(item, number);
    figure.shape = shapes[number];
    const { save, image, caption, words } = figure.parts;
    figure.item = item; put(save, 'href', item.src); put(image, 'src', item.src); put(image, 'alt', item.alt);
    if (item.deferred) item.caption = row.predictions || '';
    if (words.textContent !== item.caption) words.textContent = item.caption;
    put(caption, 'class', item.deferred && !row.fresh ? 'stale' : '');
    return figure;
  });
  if (figures.length !== row.children.length || figures.some((figure, number) => figure !== row.children[number]))
    row.replaceChildren(...figures);
  row.caption = (words) => { row.predictions = words; row.fresh = true; data.items.forEach((item, number) => { if (!item.deferred) return;
    const { parts } = row.children[number];
    item.caption = parts.words.textContent = words; parts.caption.className = '';
    parts.image.alt = `${item.alt}. ${words}`; }); };
  large.onclick = (event) => { if (event.target === large) large.close(); };
}
""",
)


_CAPTIONS = st.components.v2.component(
    "mirage_captions",
    js=f"const find = {FIND_IN_COMPONENT};"
    """
export default function ({ data }) {
  // The row is a component of its own, so it is looked for on the page; it may come a moment later than its words.
  const told = (tries) => {
    const row = find(data.box, '#row');
    if (row && row.caption && row.token === data.token) row.caption(data.words);
    else if (tries) setTimeout(() => told(tries - 1), 20);
  };
  told(200);
}
""",
)


def preencode(tiles: Iterable[tuple[Pixels, Pixels | None]]) -> None:
    """Encode images, each with its palette or None, that a row will show in a moment; on any thread."""
    for pixels, palette in tiles:
        _png_file(pixels, palette)


def reset() -> None:
    """The page runs from its beginning: Streamlit has let go of all files that its fragments might still name."""
    st.session_state.image_addresses = {}


def _addresses(files: Sequence[tuple[str, bytes]], box: str) -> list[str]:
    """Where in the app the browser fetches the PNG files of a row, each with its name.

    To hand a file over takes as long as to write it, so one that is there already stays; a new one takes the place of the one that
    was not shown for longest.
    """
    boxes: dict[str, dict[str, tuple[str, str]]] = st.session_state.setdefault("image_addresses", {})
    stored = boxes.setdefault(box, {})  # by name, the one that was shown last at the end
    for name, _ in files:
        if name in stored:
            stored[name] = stored.pop(name)
    for name, file in files:
        if name not in stored:
            full = len(stored) >= STORED_VERSIONS * len(files)
            place = stored.pop(next(iter(stored)))[0] if full else f"{box} {len(stored)}"
            stored[name] = place, _address(file, name, place)
    return [stored[name][1] for name, _ in files]


def _address(file: bytes, name: str, place: str) -> str:
    """Where the browser fetches a PNG file: in a message to the page it would take three times as long."""
    return media_file(file, "image/png", place, name)


@dataclass(frozen=True)
class PreparedRow:
    """A row whose images the browser can fetch already."""

    key: str
    box: str
    data: dict[str, object]
    token: str


def prepare(tiles: Sequence[Tile], *, key: str, label: str, width: int = 200, dimmed: bool = False) -> PreparedRow:
    """Images side by side, wrapping where the window is narrow; `dimmed` while new ones are on their way."""
    box = f"dim_{key}" if dimmed else f"tiles_{key}"
    files = [_png_file(tile.pixels, tile.palette) for tile in tiles]
    token = "".join(name[:6] for name, _ in files)
    items = [
        {
            "src": address,
            "title": tile.title,
            "caption": tile.caption,
            "color": COLORS[tile.role],
            "sign": tile.sign,
            "file": tile.file_name,
            "alt": tile.alt or (tile.title if tile.deferred_caption else f"{tile.title}. {tile.caption}"),
            "deferred": tile.deferred_caption,
            "crisp": max(tile.pixels.shape[:2]) <= CRISP,
            "links": [list(link) for link in tile.links],
            "ratio": f"{tile.pixels.shape[1]}/{tile.pixels.shape[0]}",
        }
        for tile, address in zip(tiles, _addresses(files, box), strict=True)
    ]
    signs = any(tile.sign for tile in tiles)
    data: dict[str, object] = {"items": items, "tile": width, "label": label, "signs": signs, "token": token}
    return PreparedRow(key, box, data, token)


def row(tiles: Sequence[Tile], *, key: str, label: str, width: int = 200, dimmed: bool = False) -> str:
    """`prepare` and `render` at once."""
    return render(prepare(tiles, key=key, label=label, width=width, dimmed=dimmed))


def render(prepared: PreparedRow) -> str:
    """Put a row on the page; returned is what tells its images from those that stood there before, for `set_caption`."""
    with st.container(key=prepared.box):
        _ROW(key=prepared.key, data=prepared.data)
    return prepared.token


def set_caption(token: str, caption: str, *, key: str) -> None:
    """The late caption of the row `key`, so that its images need not wait for a classifier; `token` is what the row returned."""
    with st.container(key=f"captions_{key}"):
        _CAPTIONS(key=f"{key}_captions", data={"box": f"tiles_{key}", "token": token, "words": caption})


def wait_for_browser(since: float) -> None:
    """Leave the browser to the rows that it was given at `since` (`time.monotonic`): more elements now, and those would wait for them.

    A user who moves on ends this at once.
    """
    while time.monotonic() - since < BROWSER_SECONDS:
        time.sleep(0.005)
        st.session_state.get("image_addresses")  # where a page that is to run anew stops


def magnified_difference(clean: Pixels, other: Pixels) -> tuple[Pixels, int]:
    """The change between two images about mid-grey, magnified by a round factor so that the largest one nearly fills the range."""
    change = other.astype(np.int16) - clean.astype(np.int16)
    largest = int(np.abs(change).max())
    factor = next((f for f in (64, 32, 16, 8, 4, 2) if f * largest <= 127), 1) if largest else 1
    return np.clip(128 + change * factor, 0, 255).astype(np.uint8), factor
