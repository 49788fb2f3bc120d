"""What Grad-CAM says: the headline, the captions of the maps and the table."""

from __future__ import annotations

from app.text import a, named, per_cent
from core.analysis.class_maps import ClassMap
from core.evaluate.tables import Row
from core.explain.cam_similarity import CamSimilarity

ADVICE = "Choose another layer, or another method such as LayerCAM."


def cam_verdict(result: tuple[ClassMap, ...], classes: tuple[str, ...], label: int, known: bool = True) -> str:
    """Where the classifier's attention went, and which defense brings most of it back.

    `label` is the true class; where it is not `known`, the prediction of the clean image.
    """
    clean, attacked, *defended = result
    if attacked.similarity is None:
        return f"{_empty(clean, attacked, classes)} {ADVICE}"
    if (clean.pixels == attacked.pixels).all():
        return "The attack changed nothing, so both maps are of the same image."
    seen = f"the classifier sees {a(classes[attacked.prediction.label])}"
    overlap = f"the top fifths of the two maps overlap by {per_cent(attacked.similarity.overlap)}"
    if attacked.similarity.inside is not None:
        words = (
            f"{per_cent(attacked.similarity.inside[1])} of the classifier's attention lies inside the patch; "
            f"of the clean image's it was {per_cent(attacked.similarity.inside[0])}"
        )
    elif attacked.similarity.overlap > 0.7:
        words = f"The classifier still looks at the same place ({overlap})"
        words += f", but {seen}" if attacked.prediction.label != clean.prediction.label else ""
    else:
        words = f"The attack moved the classifier's attention: {overlap}"
    return words + _returned(attacked.similarity, attacked, defended, clean, named(classes, label, known), label) + "."


def _returned(
    similarity: CamSimilarity, attacked: ClassMap, defended: list[ClassMap], clean: ClassMap, name: str, label: int
) -> str:
    """Which defense brings most of the clean image's map back, where one does."""
    there = [(class_map, class_map.similarity) for class_map in defended if class_map.similarity is not None]
    if not there:
        return ""
    best, shift = max(there, key=lambda pair: pair[1].shared)
    if shift.shared <= similarity.shared + 0.02:
        return ""
    back = clean.prediction.label == label and best.prediction.label == label != attacked.prediction.label
    saved = f", and the {name} is back" if back else ""
    before = per_cent(similarity.shared)
    return f". Behind {best.title} the map shares {per_cent(shift.shared)} with the clean one; without a defense it shares {before}{saved}"


def _empty(clean: ClassMap, attacked: ClassMap, classes: tuple[str, ...]) -> str:
    """Which maps mark no place, as a sentence."""
    if clean.empty and attacked.empty:
        same = clean.number == attacked.number
        what = classes[clean.number] if same else f"{classes[clean.number]} there and {classes[attacked.number]} here"
        return f"Both maps are empty: no place of the clean or the adversarial image counts toward {what}."
    class_map, name = (clean, "clean") if clean.empty else (attacked, "adversarial")
    return f"The map of the {name} image is empty: no place counts toward {classes[class_map.number]}. So the maps cannot be compared."


def map_words(class_map: ClassMap) -> str:
    """The caption of a map: that it is empty, or how much of it lies inside the patch."""
    if class_map.empty:
        return "empty: no place counts toward this class"
    if class_map.similarity is None or class_map.similarity.inside is None:
        return ""
    return f"{per_cent(class_map.similarity.inside[1])} inside the patch"


def shift_table(result: tuple[ClassMap, ...], classes: tuple[str, ...]) -> list[Row]:
    """One row an image that was changed; dashes where a map is empty and nothing can be compared."""
    rows: list[Row] = []
    patch = any(class_map.similarity is not None and class_map.similarity.inside is not None for class_map in result)
    for class_map in result:
        if class_map.kind == "clean":
            continue
        similarity = class_map.similarity
        entry: Row = {
            "": class_map.title,
            "explains": classes[class_map.number],
            "top fifths overlap": per_cent(similarity.overlap if similarity else None),
            "center moved": f"{similarity.centroid_shift:.1f} px" if similarity else "–",
            "suppressed": per_cent(similarity.suppressed if similarity else None),
            "shared": per_cent(similarity.shared if similarity else None),
            "emphasized": per_cent(similarity.emphasized if similarity else None),
        }
        if patch:
            inside = similarity.inside if similarity and similarity.inside else (None, None)
            entry["clean map inside the patch"], entry["its map inside"] = map(per_cent, inside)
        rows.append(entry)
    return rows
