"""A table of labels as spreadsheets, pandas and people write it: any encoding, delimiter and header that names a file and a label."""

from __future__ import annotations

import codecs
import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core import files
from core.inputs import InvalidInput

# What the columns are called, without anything but letters; the first that is there counts.
FILE_COLUMNS = tuple(
    [
        "file",
        "filename",
        "files",
        "filenames",
        "image",
        "images",
        "imagename",
        "imagefile",
        "imagefilename",
        "img",
        "imgname",
        "path",
        "filepath",
        "imagepath",
        "name",
        "picture",
        "photo",
        "imageid",
        "id",
    ]
)
LABEL_COLUMNS = tuple(
    [
        "label",
        "labels",
        "class",
        "classes",
        "target",
        "category",
        "classid",
        "classindex",
        "classnumber",
        "classname",
        "labelid",
        "labelname",
        "categoryid",
        "categoryname",
        "truelabel",
        "trueclass",
        "groundtruth",
        "truth",
        "y",
        "gt",
    ]
)
UNKNOWN = {"", "-1", "-1.0", "nan", "na", "n/a", "none", "null", "unknown", "?"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WHOLE = re.compile(r"(\d+)(?:[.,]0*)?")  # 1, 1.0, and 1,0 where a comma is the decimal sign
WORDNET = re.compile(r"n\d{8}")


@dataclass
class Table:
    """The labels that a table gives to images, and what is wrong with its lines."""

    labels: dict[Path, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


class Names:
    """Finds an image by what a table calls it: in other case or normalization, with other folders before it, without its ending."""

    def __init__(self, folder: Path, images: Iterable[Path]) -> None:
        self.exact: dict[str, Path] = {}
        self.loose: dict[str, list[Path]] = defaultdict(list)
        for path in images:
            name = unicodedata.normalize("NFC", files.display_path(path.relative_to(folder).as_posix()))
            self.exact[name] = path
            parts = name.split("/")
            for start in range(len(parts)):
                tail = "/".join(parts[start:]).casefold()
                for key in {tail, tail.rpartition(".")[0]}:
                    self.loose[key].append(path)

    def find(self, word: str) -> Path | str:
        """The image of that name, or why there is none."""
        name = unicodedata.normalize("NFC", word.strip()).replace("\\", "/")
        name = name.removeprefix("./").lstrip("/")
        if name in self.exact:
            return self.exact[name]
        parts = name.casefold().split("/")
        for start in range(len(parts)):
            matches = self.loose.get("/".join(parts[start:]), [])
            same = [path for path in matches if unicodedata.normalize("NFC", path.name) == name.rpartition("/")[2]]
            matches = same or matches
            if len(matches) == 1:
                return matches[0]
            if matches:
                return f"{word[:60]!r} may be any of {len(matches)} images"
        return f"there is no image {word[:60]!r}"


def read_table(path: Path, names: Names, class_number: Callable[[str], int]) -> Table:
    """The labels of a table; what cannot be used is told and left out.

    Args:
        path: the file.
        names: the images that it may name.
        class_number: the class of a name or number; raises InvalidInput where there is none.
    """
    table = Table()
    try:
        rows = _rows(decode(files.read_bytes(path, files.MAX_TEXT)))
    except (InvalidInput, csv.Error) as error:
        table.troubles.append(str(error).rstrip("."))
        return table
    columns, first = _columns(rows, names)
    if columns is None:
        header = ", ".join(repr(cell[:30]) for cell in rows[0][1][:6]) if rows else "nothing"
        table.troubles.append(f"Its first line holds {header}")
        return table
    for number, cells in rows[first:]:
        if not any(cells):
            continue
        if len(cells) <= max(columns):
            table.troubles.append(f"line {number} has {len(cells)} column{'s' * (len(cells) != 1)}")
            continue
        image = names.find(cells[columns[0]])
        label = _label(cells[columns[1]], class_number)
        if isinstance(image, str):
            table.troubles.append(f"line {number}: {image}")
        elif isinstance(label, str):
            table.troubles.append(f"line {number}: {label}")
        elif label is not None:
            if table.labels.get(image, label) != label:
                table.troubles.append(
                    f"line {number} gives {cells[columns[0]][:60]!r} another class than a line before"
                )
            table.labels[image] = label
    return table


def decode(data: bytes) -> str:
    """Text in UTF-8, UTF-16 or UTF-32 (with or without a byte order mark), or as Windows writes it in the West."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    start = data[:400]
    zeros = start.count(0)
    if zeros > len(start) / 4:
        return data.decode("utf-16-le" if start[1::2].count(0) * 2 > zeros else "utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """The lines with their numbers, each cut into cells."""
    lines = text.lstrip("\ufeff").splitlines()
    skipped, delimiter = 0, ""
    if lines and lines[0].lower().startswith("sep=") and len(lines[0]) == 5:  # as Excel has it
        skipped, delimiter = 1, lines[0][4]
    body = [(number, line) for number, line in enumerate(lines[skipped:], start=skipped + 1) if line.strip()]
    if not delimiter:
        head = body[0][1] if body else ""
        delimiter = max(",;\t|", key=head.count)
        if delimiter not in head:
            return [(number, [_cell(part) for part in line.strip().rsplit(None, 1)]) for number, line in body]
    reader = csv.reader((line for _, line in body), delimiter=delimiter, skipinitialspace=True)
    rows = []
    for cells in reader:
        rows.append((body[reader.line_num - 1][0], [_cell(cell) for cell in cells]))
    return rows


def _cell(text: str) -> str:
    text = text.strip().strip("\ufeff\0").strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _columns(rows: Sequence[tuple[int, list[str]]], names: Names) -> tuple[tuple[int, int] | None, int]:
    """Which columns hold the file and the label, and the first row of data."""
    if not rows:
        return None, 0
    head = [re.sub(r"[^a-z]", "", cell.casefold()) for cell in rows[0][1]]
    file = next((head.index(name) for name in FILE_COLUMNS if name in head), None)
    label = next((head.index(name) for name in LABEL_COLUMNS if name in head), None)
    if file is not None and label is not None:
        return (file, label), 1
    for first, (_, cells) in enumerate(rows[:2]):  # without a header, or with one in another language
        for column, cell in enumerate(cells):
            if len(cells) > 1 and cell and not isinstance(names.find(cell), str):
                others = [place for place in range(len(cells)) if place != column]
                return (
                    column,
                    label if label in others else next((o for o in others if o > column), others[-1]),
                ), first
    return None, 0


def _label(word: str, class_number: Callable[[str], int]) -> int | str | None:
    """The class that a cell names; None where it names none, and why where it names one that is not there."""
    if word.casefold() in UNKNOWN:
        return None
    if WORDNET.fullmatch(word.split()[0]):
        return f"{word.split()[0]} is a WordNet ID; write the class by name or number"
    whole = _WHOLE.fullmatch(word)
    tries = [whole[1]] if whole else [word, word.replace("_", " "), word.partition(",")[0]]
    for text in tries:
        try:
            return class_number(text)
        except InvalidInput as error:
            sentence = str(error)
    return sentence.partition(";")[0].rstrip(".")
