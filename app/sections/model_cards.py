"""The table of models, and the card of one of them in full."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st

from app.components.tables import Row, save_table, table
from app.state import session
from app.state.result_keys import classifier_name
from app.text import budget, duration
from app.theme import plain
from app.verdicts.models import KINDS, metric_value
from core import domains
from core.domains.budget import LINF
from core.inputs import InvalidInput
from core.models import artifacts as store
from core.models.artifacts import Artifact
from core.models.card_metrics import clean_metric, file_size, robust_metric, seed_of

MISSING = "not measured"
ALL = ""  # in place of a domain or a kind


def listed(domain: str, kind: str) -> list[Artifact]:
    """The artifacts of a domain and a kind, `ALL` for any: classifiers first."""
    kinds = [word for word in KINDS if kind in (ALL, word)]
    return [item for word in kinds for item in store.list_artifacts(word, domain or None)]  # type: ignore[arg-type]


def filters(domain: str) -> tuple[str, str]:
    """Which domain and which kind are shown."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        where = st.segmented_control(
            "Domain",
            [domain, ALL],
            format_func=lambda name: domains.get(name).title if name else "All domains",
            default=domain,
            required=True,
            key=f"models_domain_{domain}",
            wrap=True,
        )
        kind = st.segmented_control(
            "Kind",
            [ALL, *KINDS],
            format_func=lambda word: f"{KINDS[word].capitalize()}s" if word else "All",
            default=ALL,
            required=True,
            key="models_kind",
            wrap=True,
        )
    return where, kind


def rows_of(items: Sequence[Artifact]) -> list[Row]:
    """A row a model; None where its card does not say."""
    rows: list[Row] = []
    several = len({item.card.domain for item in items}) > 1  # then the domain tells models of one title apart
    for item in items:
        card, clean, robust, size = item.card, clean_metric(item.card), robust_metric(item.card), file_size(item)
        rows.append(
            {
                "Model": card.title,
                **({"Domain": domain_title(card.domain)} if several else {}),
                "Kind": KINDS[card.kind],
                "Clean (%)": None if clean is None else round(100 * clean.value, 2),
                "Robust (%)": None if robust is None else round(100 * robust.value, 2),
                "Robust under": None if robust is None else robust.what,
                "eps": None if robust is None or robust.eps is None else eps_words(item.card.domain, robust.eps),
                "Parameters": card.parameters or None,
                "File (MB)": None if size is None else round(size / 1e6, 2),
                "Training (s)": card.seconds or None,
                "Clean images": None if clean is None else clean.count,
                "Robust images": None if robust is None else robust.count,
                "Trained on": card.device or None,
                **({} if several else {"Domain": domain_title(card.domain)}),
                "Comes with": "Mirage" if item.shipped else "your folder",
                "Name": item.name,
            }
        )
    return rows


def eps_words(domain: str, eps: float) -> str:
    """An L∞ budget in the unit of the domain."""
    return budget(eps, domains.get(domain).linf.unit if domain in domains.names() else LINF.unit)


def domain_title(name: str) -> str:
    """The domain's title; of a domain that is not here, its name."""
    try:
        return domains.get(name).title
    except InvalidInput:
        return name


def model_table(items: Sequence[Artifact], *, key: str) -> None:
    """The sortable table; a click on a row opens the card below."""
    rows = rows_of(items)
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        width="stretch",
        placeholder=MISSING,
        column_config={
            "Model": st.column_config.TextColumn(width=_name_width(rows)),
            "Kind": st.column_config.TextColumn(width=115),
            "Clean (%)": st.column_config.NumberColumn(width=105, format="%.1f"),
            "Robust (%)": st.column_config.NumberColumn(width=105, format="%.1f"),
            "Robust under": st.column_config.TextColumn(width=190),
            "eps": st.column_config.TextColumn(width=100),
            "Parameters": st.column_config.NumberColumn(width=90, format="localized"),
            "File (MB)": st.column_config.NumberColumn(width=80, format="%.2f"),
            "Training (s)": st.column_config.NumberColumn(width=95, format="%.0f"),
        },
        key=f"{key}_table",
        on_select=partial(_row_chosen, f"{key}_table", list(items)),
        selection_mode="single-row",
        alt=f"{len(rows)} models with their accuracy, size and training time",
    )
    save_table([{head: MISSING if v is None else v for head, v in row.items()} for row in rows], key=key, name="models")


def _name_width(rows: Sequence[Row]) -> int:
    """Pixels that hold the longest name."""
    return max(120, 24 + round(6.3 * max(len(str(row["Model"])) for row in rows)))


def _row_chosen(key: str, items: list[Artifact]) -> None:
    chosen = st.session_state[key]["selection"]["rows"]
    if chosen and chosen[0] < len(items):
        st.session_state.models_card = _identifier(items[chosen[0]])


def _identifier(item: Artifact) -> str:
    return f"{item.card.kind} {item.name}"


def card_of_one(items: Sequence[Artifact]) -> None:
    """The card in full of the model that was chosen in the table or in the list; at first, of the classifier in use."""
    offered = {_identifier(item): item for item in items}
    recipe = session.recipe()
    own = f"classifier {recipe.domain}_{classifier_name(recipe)}"
    other = st.session_state.get("models_own") != own  # another classifier is in use since a card was chosen
    if own in offered and other:
        session.set_widget("models_card", own)
    elif st.session_state.get("models_card") not in offered:
        session.set_widget("models_card", own if own in offered else next(iter(offered)))
    st.session_state.models_own = own
    name = st.selectbox(
        "Card",
        list(offered),
        format_func=lambda word: f"{offered[word].card.title} ({offered[word].name})",
        key="models_card",
        help="A click on a row of the table chooses it, too.",
    )
    with st.expander("The card in full", icon=":material/id_card:", expanded=True):
        _card(offered[name])


def _card(item: Artifact) -> None:
    card = item.card
    if card.description:
        st.write(plain(card.description))
    metrics: list[Row] = [
        {
            "measured": metric.what,
            "value": metric_value(metric),
            "eps": "" if metric.eps is None else eps_words(card.domain, metric.eps),
        }
        for metric in card.metrics
    ]
    if metrics:
        table(metrics, key="models_metrics", name=item.name)
    else:
        st.caption("Nothing has been measured of it; `python -m core measure` does.")
    seed = seed_of(card)
    facts = {
        "architecture": f"{card.architecture}, {card.parameters:,} parameters, images of {card.size}×{card.size} with "
        + ("1 channel" if card.channels == 1 else "3 channels"),
        "trained against": card.trained_against,
        "data": card.data,
        "seed": "" if seed is None else str(seed),
        "plan": card.plan,
        "settings": ", ".join(f"{word} {_shown(value)}" for word, value in card.hyperparameters.items()),
        "training": f"{duration(card.seconds)} on {card.device}" if card.seconds else "",
        "license": card.licence,
        "SHA-256 of the weights": card.sha256,
    }
    optional = ("trained against", "plan", "settings")
    shown = {word: text or "the card does not say" for word, text in facts.items() if text or word not in optional}
    st.markdown("\n".join(f"- {word}: {plain(text)}" for word, text in shown.items()))
    if card.command:
        st.code(card.command, language=None, wrap_lines=True)
    if card.kind == "classifier" and card.domain in domains.names():
        classifier = item.name.removeprefix(f"{card.domain}_")
        st.button(
            "Use this classifier",
            key="models_use",
            icon=":material/check:",
            on_click=_use,
            args=(card.domain, classifier),
        )


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _use(domain: str, classifier: str) -> None:
    """Make it the recipe's classifier; the image stays where the domain does."""
    other = {} if domain == session.recipe().domain else {"domain": domain, "image": {}, "target": ""}
    session.update_recipe(classifier=classifier, **other)
