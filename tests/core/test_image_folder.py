"""The folder of the user's own images: labels as spreadsheets, pandas and people write them, class folders, and what is no image."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core import domains, files, images
from core.domains import image_folder
from core.inputs import InvalidInput

PIXELS = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
PNG = images.png(PIXELS)
GOOD = "file,label\na.png,1\nb.png,2\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder of two images, a.png and b.png."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    place = tmp_path / "imagenet"
    place.mkdir()
    for name in ("a.png", "b.png"):
        (place / name).write_bytes(PNG)
    yield place


def found(folder: Path) -> dict[str, int]:
    """The labels that the domain gives, by the image's path in the folder."""
    opened = image_folder.open_folder(folder, domains.get("imagenet").class_number)
    return {path.relative_to(folder).as_posix(): label for path, label in opened.labeled}


def notices_of(problem: bool | None = None) -> str:
    return " ".join(n.text for n in domains.get("imagenet").notices() if problem is None or n.problem == problem)


WRITTEN = {
    "plain": GOOD,
    "byte order mark": "\ufeff" + GOOD,
    "semicolon": GOOD.replace(",", ";"),
    "tab": GOOD.replace(",", "\t"),
    "pipe": GOOD.replace(",", "|"),
    "spaces around": "file , label\n a.png , 1 \n b.png,  2\n",
    "spaces between": "file label\na.png 1\nb.png   2\n",
    "carriage returns": GOOD.replace("\n", "\r\n"),
    "old Macintosh": GOOD.replace("\n", "\r"),
    "header in capitals": GOOD.replace("file,label", "FILE,Label"),
    "other header": GOOD.replace("file,label", "File Name,class_id"),
    "quoted": '"file","label"\n"a.png","1"\n"b.png","2"\n',
    "pandas index": ",file,label\n0,a.png,1\n1,b.png,2\n",
    "floats": GOOD.replace("1\n", "1.0\n").replace("2\n", "2.0\n"),
    "decimal commas": "file;label\na.png;1,0\nb.png;2,0\n",
    "more columns": "id,label,split,file\n0,1,test,a.png\n1,2,test,b.png\n",
    "class names": "file,label\na.png,goldfish\nb.png,Great_White_Shark\n",
    "class names with synonyms": 'file,label\na.png,"goldfish, Carassius auratus"\nb.png,great white shark\n',
    "relative paths": "file,label\nimagenet/a.png,1\n./b.png,2\n",
    "Windows paths": "file,label\n.\\a.png,1\nC:\\data\\imagenet\\b.png,2\n",
    "absolute paths": "file,label\n/home/me/imagenet/a.png,1\n/home/me/imagenet/b.png,2\n",
    "no endings": "file,label\na,1\nb,2\n",
    "other case": "file,label\nA.PNG,1\nB.Png,2\n",
    "no header": "a.png,1\nb.png,2\n",
    "a header in another language": "Datei;Klasse\na.png;1\nb.png;2\n",
    "Excel's separator line": "sep=;\nfile;label\na.png;1\nb.png;2\n",
    "empty lines": "\n\nfile,label\n\na.png,1\n\nb.png,2\n\n",
}


@pytest.mark.parametrize("how", WRITTEN)
def test_a_table_of_labels_as_programs_and_people_write_it(folder: Path, how: str) -> None:
    (folder / "labels.csv").write_bytes(WRITTEN[how].encode())
    assert found(folder) == {"a.png": 1, "b.png": 2}
    assert notices_of() == "labels.csv names 2 of 2 images."
    assert domains.get("imagenet").sample(2)[1].sort()[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"]
)
def test_any_encoding(folder: Path, encoding: str) -> None:
    (folder / "a.png").rename(folder / "é.png")
    (folder / "labels.csv").write_bytes(GOOD.replace("a.png", "é.png").encode(encoding))
    assert found(folder) == {"é.png": 1, "b.png": 2}


@pytest.mark.parametrize(("stored", "written"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_composed_and_decomposed_names_are_the_same(folder: Path, stored: str, written: str) -> None:
    name = "Übergröße"
    (folder / "a.png").rename(folder / f"{unicodedata.normalize(stored, name)}.png")
    (folder / "labels.csv").write_text(f"file,label\n{unicodedata.normalize(written, name)}.png,1\n", encoding="utf-8")
    assert list(found(folder).values()) == [1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "labels.csv names 0 of 2 images; it must have a column 'file'"),
        ("x,y,z\n1,2,3\n", "labels.csv names 0 of 2 images; it must have .* Its first line holds 'x', 'y', 'z'"),
        ("file,label\nc.png,1\nd.png,2\n", "names 0 of 2 images; .* line 2: there is no image 'c.png'; line 3"),
        ("file,label\na.png,1\nb.png,1000\n", "names 1 of 2 images. line 3: '1000' is no class of ImageNet"),
        ("file,label\na.png,unicorn\nb.png,2\n", "names 1 of 2 images. line 2: 'unicorn' is no class of ImageNet"),
        (
            "file,label\na.png,n02123045\nb.png,2\n",
            "line 2: n02123045 is a WordNet ID; write the class by name or number",
        ),
        ("file,label\na.png\nb.png,2\n", "names 1 of 2 images. line 2 has 1 column"),
        ("file,label\na.png,1\nb.png,2\na.png,3\n", "names 2 of 2 images. line 4 gives 'a.png' another class"),
        ("file,label\n" + "c.png,1\n" * 9, "line 4: there is no image 'c.png'; and 6 more"),
    ],
)
def test_what_is_wrong_with_a_table_is_counted_and_said(folder: Path, text: str, sentence: str) -> None:
    (folder / "labels.csv").write_text(text)
    assert re.search(sentence, notices_of(problem=True)), notices_of()


def test_what_nobody_knows_is_no_problem(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,label\na.png,\nb.png,2\n")
    assert found(folder) == {"b.png": 2}
    assert notices_of() == "labels.csv names 1 of 2 images." and not notices_of(problem=True)


@pytest.mark.parametrize(
    "data", [b"\0" * 1000, b"\xff\xfe\x00", np.random.default_rng(0).bytes(5000), b'"' + b"x," * 200_000]
)
def test_a_table_of_rubbish_takes_nothing_down(folder: Path, data: bytes) -> None:
    (folder / "labels.csv").write_bytes(data)
    assert found(folder) == {} and "names 0 of 2 images" in notices_of(problem=True)
    assert domains.get("imagenet").splits() == ("unlabeled",)


def test_an_edit_in_place_is_noticed(folder: Path) -> None:
    domain = domains.get("imagenet")
    assert domain.splits() == ("unlabeled",)
    (folder / "labels.csv").write_text("file,label\na.png,1\n")
    assert domain.labels("test").tolist() == [1]
    for label in (2, 3, 4):  # as long as before, and within the same moment
        with (folder / "labels.csv").open("r+") as file:
            file.seek(len("file,label\na.png,"))
            file.write(str(label))
        assert domain.labels("test").tolist() == [label]
    (folder / "labels.csv").unlink()
    assert domain.splits() == ("unlabeled",)


def test_an_unchanged_folder_is_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "labels.csv").write_text(GOOD)
    for path in (folder, folder / "labels.csv"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    domain = domains.get("imagenet")
    assert domain.count("test") == 2
    monkeypatch.setattr(image_folder, "_read", lambda *_: pytest.fail("read again"))
    assert domain.pixels("test", 1).tolist() == PIXELS.tolist()


def test_class_folders_by_name_and_number(folder: Path) -> None:
    for name in ("tabby", "281", "golden_retriever", "mine", "mine/goldfish", "n02123045", ".hidden", "__MACOSX"):
        (folder / name).mkdir()
        (folder / name / "c.png").write_bytes(PNG)
    wanted = {"tabby/c.png": 281, "281/c.png": 281, "golden_retriever/c.png": 207, "mine/goldfish/c.png": 1}
    assert found(folder) == wanted
    assert domains.get("imagenet").count("unlabeled") == 4  # a, b, mine/c and n02123045/c
    assert "4 of 8 images have a known class" in notices_of() and "WordNet IDs (n02123045)" in notices_of(problem=True)
    (folder / "labels.csv").write_text("file,label\ntabby/c.png,2\nmine/c.png,3\nc.png,4\n")
    assert found(folder) == wanted | {"tabby/c.png": 2, "mine/c.png": 3}
    assert "line 4: 'c.png' may be any of 6 images" in notices_of(problem=True)


def test_every_kind_that_an_upload_may_be(folder: Path) -> None:
    for end in images.EXTENSIONS:
        (folder / f"c.{end.upper()}").write_bytes(PNG)
    (folder / ".hidden.png").write_bytes(PNG)
    (folder / "._a.png").write_bytes(b"of a Macintosh")
    (folder / "notes.txt").write_text("no image")
    assert domains.get("imagenet").count("unlabeled") == 2 + len(images.EXTENSIONS)
    assert "add labels.csv" in notices_of(problem=False)


def test_what_is_no_image_file_is_named_and_left_out(folder: Path) -> None:
    (folder / "folder.jpg").mkdir()
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "loop").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")
    os.mkfifo(folder / "labels.csv")
    domain = domains.get("imagenet")
    assert domain.count("unlabeled") == 2
    text = notices_of(problem=True)
    assert "gone.png (a broken link)" in text and "labels.csv (a pipe or a device)" in text and "and 1 more" in text


def test_a_folder_that_cannot_be_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(image_folder.os, "scandir", refuse)
    assert domains.get("imagenet").splits() == ()
    assert "(permission denied)" in notices_of(problem=True)


def test_a_damaged_image_is_named(folder: Path) -> None:
    (folder / "b.png").write_bytes(PNG[:45])
    domain = domains.get("imagenet")
    with pytest.raises(InvalidInput, match=r"imagenet/b\.png: This PNG file is damaged"):
        domain.pixels("unlabeled", 1)
    (folder / "b.png").unlink()
    with pytest.raises(InvalidInput, match="holds the images 0 to 0 now"):
        domain.pixels("unlabeled", 1)


def test_an_image_that_goes_or_becomes_a_pipe_after_the_folder_was_listed(folder: Path) -> None:
    opened = image_folder.open_folder(folder, domains.get("imagenet").class_number)
    opened.unlabeled[0].unlink()
    with pytest.raises(InvalidInput, match=r"a\.png cannot be read: no such file"):
        image_folder.read_image(opened.unlabeled[0])
    os.mkfifo(folder / "a.png")
    with pytest.raises(InvalidInput, match="a pipe or a device"):
        image_folder.read_image(opened.unlabeled[0])


def test_a_name_that_is_not_utf_8(folder: Path) -> None:
    raw = os.fsencode(folder) + b"/b\xe9\xff.png"
    with open(raw, "wb") as file:
        file.write(PNG[:45])
    (folder / "labels.csv").write_bytes(b"file,label\na.png,1\n")
    assert domains.get("imagenet").count("unlabeled") == 2
    with pytest.raises(InvalidInput, match="damaged") as refused:
        domains.get("imagenet").pixels("unlabeled", 1)
    str(refused.value).encode()  # a browser gets UTF-8


@pytest.mark.parametrize("name", ["photos", "mnist"])
def test_what_is_kept_in_memory_cannot_be_changed(name: str) -> None:
    domain = domains.get(name)
    for values in (domain.labels("test"), domain.pixels("test", 0), domain.gallery_pixels(domain.gallery()[0].name)):
        assert not values.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


def test_files_that_cannot_be_read_or_written_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "none", "no such file"),
        (tmp_path / "file" / "x", "not a directory"),
        (tmp_path / "nul\0", "no file name"),
        (Path("/dev/zero"), "a pipe or a device"),
    ):
        with pytest.raises(InvalidInput, match=words):
            files.read_bytes(path, 100)
    with pytest.raises(InvalidInput, match="at most"):
        files.read_bytes(tmp_path / "file", 4)
    with pytest.raises(InvalidInput, match="a file is in the way"):
        files.check_writable(tmp_path / "file")
    with pytest.raises(InvalidInput, match="Nothing can be written"):
        files.check_writable(Path("/proc/nowhere"))
    files.check_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
