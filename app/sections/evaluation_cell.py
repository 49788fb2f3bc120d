"""One cell of an evaluation's matrix: its confusion matrix, its best and worst classes, its images."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from app import theme
from app.components.image_row import Tile, row
from app.components.tables import table
from app.plots.evaluation_plots import confusion_plot
from app.runtime import examples
from app.text import mark, per_cent, plural
from app.verdicts.evaluate import known_words
from core import domains, images
from core.evaluate import NO_ATTACK, NO_DEFENSE, CellKey, Metrics, Plan
from core.evaluate import report as reports
from core.evaluate.metrics import cluster_order
from core.figures.evaluation import MAX_CELLS
from core.inputs import InvalidInput
from core.recipe import ImageRef, Method, Recipe
from core.recipe.columns import ColumnSpec, MemberSpec, SystemSpec, column_of, members_of

PAGE_SIZE = 12  # images at once


def cell_view(findings: Metrics, place: CellKey, classes: tuple[str, ...]) -> None:
    """One cell of the matrix: its confusion matrix, its best and worst classes, its images."""
    plan = findings.plan
    share = findings.proportion(place)
    attack = "Clean images" if place.attack == NO_ATTACK else plan.attack_title(place.attack)
    what = attack if place.defense == NO_DEFENSE else f"{attack}, {reports.column_title(plan, place)}"
    if not findings.cell(place).evaluated.any():
        st.subheader(theme.plain(what), anchor=False)
        st.caption("No image of this cell is evaluated yet.")
        return
    st.subheader(theme.plain(f"{what}: {share}"), anchor=False)
    views = st.columns([3, 2], gap="large")
    with views[0]:
        with st.container(horizontal=True):
            against: Literal["true", "clean"] = st.segmented_control(
                "Rows",
                ["true", "clean"],
                format_func={"true": "true class", "clean": "prediction on the clean image"}.__getitem__,
                default="true",
                required=True,
                key="ev_against",
            )
            order = st.segmented_control(
                "Order",
                ["class", "cluster"],
                default="class",
                required=True,
                key="ev_order",
                help="By cluster, classes that are taken for each other lie side by side.",
            )
        counts = findings.confusion(place, len(classes), against)
        ranks = cluster_order(counts) if order == "cluster" else list(range(len(classes)))
        rows = reports.ROWS[against]
        key = f"ev_confusion_{findings.run.path.stem}_{place}_{against}_{order}"
        picked = confusion_plot(counts, classes, ranks, rows, "prediction", key=key)
        occur = int((counts.any(0) | counts.any(1)).sum())
        marks = (
            "A mark is a pair of classes: on the diagonal (green) row and column agree, elsewhere (vermilion) they do not; "
            "larger for more images. Hover for names, click for images, drag to zoom in: more classes are named then."
        )
        only = (
            f" Only the {occur} of {len(classes):,} classes that occur are shown." if len(classes) > MAX_CELLS else ""
        )
        note = known_words(findings, place)
        st.caption(f"{marks if occur > MAX_CELLS else 'Click a cell for its images.'}{only} {note}")
        pairs = st.expander("As a table", key="ev_pairs_open", on_change="rerun")
        if pairs.open:
            with pairs:
                table(reports.confusion_table(findings, place, against), key="ev_pairs", name="confusion")
    with views[1]:
        st.markdown("**Best and worst classes**")
        table(reports.classes_table(findings, place), key="ev_classes", name="classes")
    if picked is None:
        positions, words = findings.select_images(place), "All images of this cell"
    else:
        positions = findings.select_images(place, *picked, against)
        words = f"{rows} {classes[picked[0]]}, prediction {classes[picked[1]]}"
    image_rows(findings, place, positions, words, classes)


def image_rows(findings: Metrics, place: CellKey, positions: list[int], words: str, classes: tuple[str, ...]) -> None:
    """Images of a cell as they were attacked, each with links that open it elsewhere."""
    st.markdown(f"**{theme.plain(words)}**: {plural(len(positions), 'image')}")
    if not positions:
        known = bool(findings.cell(place).evaluated.any())
        st.caption("No image is here." if known else "Nothing of this cell is known yet.")
        return
    try:
        findings.run.check_images()
    except InvalidInput as error:
        st.info(theme.plain(str(error)))
        return
    sheet = 1
    if len(positions) > PAGE_SIZE:
        sheet = st.pagination(-(-len(positions) // PAGE_SIZE), key=f"ev_sheet_{place}_{words}")
    plan, cell, domain = findings.plan, findings.cell(place), domains.get(findings.plan.domain)
    clean = findings.cell(CellKey(place.classifier, NO_ATTACK, place.defense, "none"))
    size, channels = _shape(plan)
    tiles = []
    for position in positions[(sheet - 1) * PAGE_SIZE : sheet * PAGE_SIZE]:
        number, label = int(findings.run.indices[position]), int(findings.labels[position])
        said = int(cell.predicted[position])
        try:
            shown, lost = (
                findings.run.image(place.classifier, place.attack, place.known_defense, position),
                "was not kept",
            )
        except InvalidInput:
            shown, lost = None, "is damaged"
        is_stored = shown is not None
        if shown is None:
            shown = images.fit(domain.pixels(plan.split, number), size, channels, "crop")
        before = int(clean.predicted[position])
        was = f", clean {mark(before == label)} {classes[before]}" if place.attack != NO_ATTACK and before >= 0 else ""
        tiles.append(
            Tile(
                shown,
                f"{classes[label]}, {plan.split} {number}",
                f"{mark(said == label)} {classes[said]} {per_cent(float(cell.confidence[position]))}{was}"
                + ("" if is_stored or place.attack == NO_ATTACK else f" (the clean image; the attacked one {lost})"),
                "adversarial" if is_stored else "clean",
                file_name=f"{plan.split}_{number}.png",
                links=links(plan, place, number),
            )
        )
    row(tiles, key="ev_images", label="Images of the cell", width=150)
    if place.attack != NO_ATTACK and plan.target:
        st.caption("An image of the target's own class is not attacked; it does not open on other pages.")


def _shape(plan: Plan) -> tuple[int, int]:
    """Side and channels of the images that the classifier takes, as far as they are known without it."""
    example = examples.current()
    if example is not None and example.classifier.domain == plan.domain:
        return example.classifier.size, example.classifier.channels
    domain = domains.get(plan.domain)
    return domain.size, domain.channels


def is_target_class(plan: Plan, number: int) -> bool:
    """Whether the image has the plan's target as its true class, so that it was not attacked."""
    domain = domains.get(plan.domain)
    return bool(plan.target) and domain.class_number(plan.target) == int(domain.labels(plan.split)[number])


def links(plan: Plan, place: CellKey, number: int) -> tuple[tuple[str, str], ...]:
    """Where one image can be opened: the screens, each with the recipe that leads to the cell's very image.

    None for an image of the target's own class, which was left alone.
    """
    if place.attack != NO_ATTACK and is_target_class(plan, number):
        return ()
    judge = plan.classifier_names()[place.classifier]
    own = plan.crafted_on or judge
    columns = [plan.defenses[place.defense]] if place.defense != NO_DEFENSE else list(plan.defenses[:8])
    if (
        own != judge
    ):  # the recipe's classifier is the one that the attack is crafted on; the columns name the one that judges
        columns = [_judged_by(judge, column) for column in columns]
        if place.defense == NO_DEFENSE:
            columns.insert(0, SystemSpec(members=(MemberSpec(classifier=judge),)))
    recipe = Recipe(
        domain=plan.domain,
        classifier=own,
        image=ImageRef(kind="dataset", split=plan.split, index=number),
        attack=plan.attacks[max(place.attack, 0)] if plan.attacks else Method(name="pgd"),
        target="" if is_target_class(plan, number) else plan.target,
        defenses=tuple(columns),
        attacker="adaptive" if place.attacker == "adaptive" else "grey",
        backward=plan.backward,
        seed=plan.seed,
    )
    word = recipe.to_link()
    screens = {"Attack": "attack", "Defend": "defend", "Gradient windows": "windows", "Grad-CAM": "gradcam"}
    if place.attacker == "adaptive":
        del screens["Gradient windows"]  # it shows the attacker who knows no defense
    return tuple((title, f"{page}?recipe={word}") for title, page in screens.items())


def _judged_by(judge: str, column: ColumnSpec) -> ColumnSpec:
    """The same column with that classifier in place of the recipe's own."""
    members = members_of(column)
    return column_of(
        tuple(member if member.classifier else member.model_copy(update={"classifier": judge}) for member in members)
    )
