"""Models: cards of everything that ships or lies in the user's folder, and classifiers put beside each other."""

import streamlit as st

from app import theme
from app.runtime import examples, progress
from app.sections import model_pair, model_trials
from app.sections.model_cards import card_of_one, filters, listed, model_table
from app.state import session
from app.verdicts.models import cards_verdict
from core import domains


def cards(domain: domains.Domain) -> str:
    """The table and one card; the headline."""
    where, kind = filters(domain.name)
    items = listed(where, kind)
    if not items:
        st.info("There is no such model here. What you train, and what you put into your folder, is listed here.")
        st.page_link("pages/training.py", label="Train one", icon=":material/model_training:")
    else:
        model_table(items, key=f"models_{where}_{kind}")
        st.caption(
            "Robust accuracy: under the worst case of APGD and Square where that was measured, else the lowest under PGD or APGD, "
            "each within the L∞ eps that stands beside it. Of a denoiser, its classifier is judged behind it, and the attacker knows it "
            "(adaptive). Numbers are those of the cards; compare them within one domain and at one eps only."
        )
        card_of_one(items)
    return cards_verdict(items, domain.title if where else "All domains")


example = examples.current()
if example is None:
    progress.show_unavailable()
    st.stop()
assert example is not None
recipe = session.recipe()
domain = domains.get(recipe.domain)
titles = model_trials.here(domain)
head = st.container()
table, two, by_eps, matrix = st.tabs(
    ["Cards", "Compare two", "Accuracy by eps", "Transfer"], key="models_tabs", on_change="rerun", bind="query-params"
)
sentence = ""
if table.open:
    with table:
        sentence = cards(domain)
elif two.open:
    with two:
        if model_trials.needs_another(domain, titles):
            sentence = "Two classifiers are needed for a comparison."
        else:
            sentence = model_pair.pair(recipe, example, titles)
elif by_eps.open:
    with by_eps:
        sentence = model_trials.curves(recipe, titles)
elif matrix.open:
    with matrix:
        if model_trials.needs_another(domain, titles):
            sentence = "Two classifiers are needed for a transfer."
        else:
            sentence = model_trials.transfer(recipe, titles)
session.sync_query_params()
with head:
    theme.verdict(sentence)
progress.show_progress(None, image=False)
