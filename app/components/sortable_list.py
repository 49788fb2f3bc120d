"""A list whose items are dragged into another order, or moved with the arrow keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

_LIST = st.components.v2.component(
    "mirage_order",
    html="""<ol id="l"></ol><output id="o" aria-live="polite"></output>""",
    css="""
#l{list-style:none;margin:0;padding:0;display:flex;flex-direction:column;gap:6px}
li{display:flex;gap:8px;align-items:center;padding:6px 10px;border:1px solid var(--st-border-color);border-radius:6px;cursor:grab;
font:.9rem var(--st-font);color:var(--st-text-color);background:var(--st-secondary-background-color);touch-action:none;user-select:none}
li::before{content:'⠿';opacity:.7}
li:focus-visible{outline:3px solid var(--st-primary-color);outline-offset:1px}
li.held{cursor:grabbing;border-color:var(--st-primary-color);opacity:.75}
#o{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
""",
    js="""
export default function ({ data, parentElement, setTriggerValue }) {
  const l = parentElement.querySelector('#l'), o = parentElement.querySelector('#o');
  l.setAttribute('aria-label', data.label);
  const order = () => [...l.children].map((e) => Number(e.dataset.n));
  const tell = () => { if (order().some((n, k) => n !== k)) setTriggerValue('order', order()); };
  const words = (e) => { o.textContent = `${e.textContent}: place ${[...l.children].indexOf(e) + 1} of ${l.children.length}`; };
  l.replaceChildren(...data.items.map((text, n) => {
    const e = document.createElement('li'); e.textContent = text; e.dataset.n = n; e.tabIndex = 0;
    e.setAttribute('aria-label', `${text}, place ${n + 1} of ${data.items.length}; drag it, or move it with the arrow keys`);
    e.onkeydown = (k) => { const up = k.key === 'ArrowUp', down = k.key === 'ArrowDown'; if (!up && !down) return; k.preventDefault();
      const other = up ? e.previousElementSibling : e.nextElementSibling; if (!other) return;
      other[up ? 'before' : 'after'](e); e.focus(); words(e); clearTimeout(l._t); l._t = setTimeout(tell, 500); };
    return e;
  }));
  // The list holds the pointer: an item that changes its place would lose it.
  let held = null;
  l.onpointerdown = (at) => { held = at.target.closest('li'); if (!held) return;
    l.setPointerCapture(at.pointerId); held.classList.add('held'); };
  l.onpointermove = (at) => { if (!held) return;
    const over = [...l.children].find((f) => { const q = f.getBoundingClientRect();
      return at.clientY >= q.top && at.clientY <= q.bottom; });
    if (!over || over === held) return;
    const below = [...l.children].indexOf(over) > [...l.children].indexOf(held); over[below ? 'after' : 'before'](held); };
  l.onpointerup = l.onpointercancel = () => { if (!held) return; held.classList.remove('held'); words(held); held = null; tell(); };
}
""",
)


def sortable_list(titles: Sequence[str], *, key: str, label: str, moved: Callable[[tuple[int, ...]], None]) -> None:
    """The titles, to be dragged; `moved` gets the numbers of the items in their new order."""

    def report_order() -> None:
        chosen = st.session_state[key].get("order")
        if chosen and sorted(chosen) == list(range(len(titles))):
            moved(tuple(int(number) for number in chosen))

    _LIST(key=key, data={"items": list(titles), "label": label}, on_order_change=report_order)
