"""Bad tables of ids, and of labels."""

from __future__ import annotations

import csv
import gzip
import io
import os
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.support.bad_input import IMAGES, RUN, case

GROUP = "tables"
WITH_IDS = (*RUN, "--set", "images.ids=template.csv")
HEADER = "ImageID,label,note"
IDS = [f"{number:04d}" for number in range(IMAGES)]
ROWS = [f'{id},0,"a, b"' for id in IDS]


def _csv(*rows: str, header: str = HEADER) -> str:
    return "".join(f"{row}\n" for row in (header, *rows))


def _with(row: str, at: int = 5) -> str:
    """Return the template with another row in the place of one."""
    return _csv(*ROWS[:at], row, *ROWS[at + 1 :])


WHOLE = _csv(*ROWS)
INSIDE = "is not valid CSV: line 7: "


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
    return file.getvalue()


# What template.csv holds, and what is said of it.
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "a table that is an empty file": ("", "'template.csv' is empty"),
    "a table of blank lines": ("\n\r\n \n", "'template.csv' is empty"),
    "a header and no rows": (_csv(), "has a header and no rows"),
    "rows and no header": (_csv(*ROWS[1:], header=ROWS[0]), "has no header: its first line names the image '0000'"),
    "ids and no header": (_csv(*IDS[1:], header=IDS[0]), "has no header: its first line names the image '0000'"),
    "Excel's Unicode text: UTF-16 with tabs": (
        WHOLE.replace(",", "\t").encode("utf-16"),
        "separates its columns by tabs",
    ),
    "a table in Latin-1": (_with('0005,0,"Größe"').encode("latin-1"), "not UTF-8; set images.encoding"),
    "semicolons between cells": (WHOLE.replace(",", ";"), "separates its columns by semicolons"),
    "tabs between cells": (WHOLE.replace(",", "\t"), "separates its columns by tabs"),
    "semicolons, and commas inside of numbers": (
        _csv(*(f"{id};0,5;1,5" for id in IDS), header="ImageID;label;note"),
        "separates its columns by semicolons",
    ),
    "Excel's line sep=;": ("sep=;\n" + WHOLE.replace(",", ";"), "separates its columns by semicolons"),
    "Excel's line sep=,": ("sep=,\n" + WHOLE, "begins with a line for Excel, sep=; take it out"),
    "a comment above the header": ("# made on Monday\n" + WHOLE, "line 2: more cells than the header has: 3, not 1"),
    "a quote that is never closed": (_csv(*ROWS[:-1], '0011,0,"a'), "line 13: a quote is opened here and never closed"),
    "a quote that the next row closes": (_with('0005,0,"a, b'), INSIDE + "text follows a closing quote"),
    "a quote inside of quotes that is not doubled": (_with('0005,0,"5" wide"'), INSIDE + "text follows a closing"),
    "an id twice": (_with("0003,0,"), "row 6: id '0003' stands already in row 4"),
    "a table twice in one file": (WHOLE + WHOLE, "row 14: id '0000' stands already in row 1"),
    "two columns of ids": (WHOLE.replace("note", "ImageID"), "has 2 columns called 'ImageID'"),
    "two columns of labels": (WHOLE.replace("note", "label"), "has 'label' more than once"),
    "words in the column of labels": (
        _csv(*(f"{id},cat," for id in IDS)),
        "layout: labels writes numbers, but 'label' of 'template.csv' holds words .'cat'",
    ),
    "masks in the column of labels": (
        _csv(*(f"{id},1 3 10 5," for id in IDS)),
        "'label' of 'template.csv' holds lists or shapes .* set outputs.submission: null",
    ),
    "measured values in the column of labels": (_csv(*(f"{id},3.7," for id in IDS)), "holds measured values .'3.7'"),
    "a probability in the column of labels, for three clusters": (
        _csv(*(f"{id},0.5," for id in IDS)),
        "only the labels 0 and 1 can stand, .* set clusters.n_clusters: 2",
    ),
    "a column of labels in capitals": (WHOLE.replace("label", "Label"), "has no column 'label' .*'Label'"),
    "a row with more cells than the header": (_with("0005,0,a,b"), INSIDE + "more cells than the header has: 4, not 3"),
    "a comma in a cell without quotes": (WHOLE.replace('"', ""), "line 2: more cells than the header has: 4, not 3"),
    "an empty id": (_with(",0,"), "row 6: the id in column 'ImageID' is empty"),
    "an id of blanks": (_with("  ,0,"), "row 6: the id in column 'ImageID' is empty"),
    "ids that became 1E+05": (_with("1E+05,0,"), "1 of 12 ids have no file: '1E.05'"),
    "ids with the ending of their files": (_csv(*(f"{id}.jpg,0," for id in IDS)), 'set images.file: "{id}"'),
    "an id that leads outside": (
        _with("../../../../../../etc/passwd,0,"),
        "row 6: id '../../../../../../etc/passwd' leads outside of images.folder 'pictures'",
    ),
    "an id that is an absolute path": (_with("/etc/passwd,0,"), "row 6: id '/etc/passwd' leads outside of"),
    "an id that is a URL": (_with("https://example.com/5,0,"), "1 of 12 ids have no file: 'https://example.com/5'"),
    "an id of 10,000 characters": (_with("0" * 10_000 + ",0,"), r"1 of 12 ids have no file: '0{40,50}\.\.\.0{40,50}'"),
    "a NUL in an id": (_with("00\x0005,0,"), "row 6: the id in column 'ImageID' has a NUL in it; is the file damaged"),
    "a block of NULs at the end, as after a power cut": (WHOLE.encode() + bytes(4096), "row 13: .* has a NUL in it"),
    "a table that breaks off": (WHOLE[:-12], "row 12: 1 of 12 ids have no file: '00'"),
    "marks of a merge conflict in a table": (_csv(*ROWS[:5], "<<<<<<< HEAD", *ROWS[5:]), "no file: '<<<<<<< HEAD'"),
    "an .xlsx that is called .csv": (_zip(), "is a ZIP archive or a workbook such as .xlsx; save it as CSV"),
    "an .xls that is called .csv": (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504), "is a workbook of Excel"),
    "a gzip that is called .csv": (gzip.compress(WHOLE.encode(), mtime=0), "is compressed by gzip; unpack it"),
    "a Parquet file that is called .csv": (b"PAR1" + bytes(60) + b"PAR1", "is a Parquet file; save it as CSV"),
    "a web page that is called .csv": ("\n<!DOCTYPE html>\n<html>Log in, please</html>\n", "was its download refused"),
    "a pointer of Git LFS": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 300\n",
        "is a pointer of Git LFS, not the file itself",
    ),
    "a picture that is called .csv": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "is JPEG, not a CSV"),
    "100,000 ids, of which twelve have files": (
        _csv(*(f"{number:04d},0," for number in range(100_000))),
        "99,988 of 100,000 ids have no file: '0012', '0013', '0014', …",
    ),
    "a million rows of twelve ids": (_csv(*ROWS * 83_334), "row 13: id '0000' stands already in row 1"),
}

MARKS = "read [0-9]+ of 12 ids without the blanks, quotes and marks around them"
ZEROS, FOLDERLESS = "with zeros up to 4 digits", "ids without their first folder"

# What template.csv holds, and how its ids are read: all of them have files by one rule.
READ: dict[str, tuple[str, str]] = {
    "two tables in one file, each with its byte order mark": (
        "\ufeff" + _csv(*ROWS[:6]) + "\ufeff" + "\n".join(ROWS[6:]),
        MARKS,
    ),
    "a blank behind an id": (_with("0005 ,0,"), MARKS),
    "a line break in an id": (_with('"0005\n",0,'), MARKS),
    "single quotes around ids": (_csv(*(f"'{id}',0," for id in IDS)), MARKS),
    "curly quotes around ids": (_csv(*(f"“{id}”,0," for id in IDS)), MARKS),
    "ids that are Excel's formulas of themselves": (_csv(*(f'="{id}",0,' for id in IDS)), MARKS),
    "ids without the zeros that a spreadsheet took": (_csv(*(f"{int(id)},0," for id in IDS)), ZEROS),
    "ids that became numbers with decimals": (_csv(*(f"{int(id)}.0,0," for id in IDS)), ZEROS),
    "ids with their folder": (_csv(*(f"pictures/{id}.jpg,0," for id in IDS)), FOLDERLESS),
    "an id with a folder of Windows": (_with(r"pictures\0005.jpg,0,"), FOLDERLESS),
}

# What template.csv holds, as text and in which encoding; a run has to write its cells again as they were.
DONE: dict[str, tuple[str, str]] = {
    "a byte order mark": (WHOLE, "utf-8-sig"),
    "a table in UTF-16": (WHOLE, "utf-16"),
    "a table in UTF-16 without a byte order mark": (WHOLE, "utf-16-le"),
    "a table in UTF-16 of the other order, without a mark": (WHOLE, "utf-16-be"),
    "blank lines between rows": ("\n\n" + WHOLE.replace("\n", "\n\n  \n"), "utf-8"),
    "line ends of Windows": (WHOLE.replace("\n", "\r\n"), "utf-8"),
    "line ends of an old Macintosh": (WHOLE.replace("\n", "\r"), "utf-8"),
    "line ends of three kinds": (WHOLE.replace("\n", "\r\n", 3).replace("\n0005", "\r0005"), "utf-8"),
    "no line end at the end": (WHOLE.removesuffix("\n"), "utf-8"),
    "a cell of 10 MB": (_with(f"0005,0,{'x' * 10_000_000}"), "utf-8"),
    "two columns of notes": (_csv(*(f"{id},0,a,b" for id in IDS), header="ImageID,label,note,note"), "utf-8"),
    "columns without names": (_csv(*(f"{id},0,a,b" for id in IDS), header="ImageID,label,,"), "utf-8"),
    "a column of numbers without a name, as of an index": (
        _csv(*(f"{number},{id},0" for number, id in enumerate(IDS)), header=",ImageID,label"),
        "utf-8",
    ),
    "a row with fewer cells than the header": (_with("0005"), "utf-8"),
    "cells that are formulas": (_with("""0005,=cmd|' /C calc'!A0,"@SUM(1,1)" """.strip()), "utf-8"),
    "cells that numbers are taken for": (_with("0005,1e5,007.50"), "utf-8"),
    "cells that missing values are taken for": (_with("0005,NaN,NULL"), "utf-8"),
    "a NUL in a cell": (_with("0005,0,a\0b"), "utf-8"),
    "line breaks in cells": (_with('0005,0,"a\r\nb\rc\nd"'), "utf-8"),
    "two thousand columns": (
        _csv(*(f"{id}{',0' * 2_000}" for id in IDS), header=",".join(["ImageID", "label", *map(str, range(1_999))])),
        "utf-8",
    ),
}


def _as_they_were(text: str) -> Callable[[Path], None]:
    """Return what compares a submission with the text of its template, the labels aside."""
    csv.field_size_limit(2**30)

    def rows_of(text: str) -> list[list[str]]:
        header, *rows = [row for row in csv.reader(io.StringIO(text, newline="")) if "".join(row).strip()]
        label = header.index("label")
        return [[cell for at, cell in enumerate(row) if at != label] for row in (header, *rows)]

    def also(own: Path) -> None:
        header, *rows = rows_of(text)
        wanted = [header, *([*row, *[""] * (len(header) - len(row))] for row in rows)]
        assert rows_of((own / "out" / "submission.csv").read_bytes().decode()) == wanted

    return also


def _holding(data: bytes) -> Callable[[Path], object]:
    return lambda own: (own / "template.csv").write_bytes(data)


for _name, (_content, _says) in REFUSED.items():
    _data = _content.encode() if isinstance(_content, str) else _content
    case(_name, GROUP, _says, exit_code=1, commands=(WITH_IDS,))(_holding(_data))

for _name, (_text, _says) in READ.items():
    _data = _text.encode()
    case(_name, GROUP, _says, commands=(WITH_IDS,), also=_as_they_were(_text.removeprefix("\ufeff")))(_holding(_data))

for _name, (_text, _encoding) in DONE.items():
    _ids = ("--set", "images.id_column=ImageID") if _text.startswith(",") else ()
    _done = case(_name, GROUP, "images    12: 12 computed", commands=((*WITH_IDS, *_ids),), also=_as_they_were(_text))
    _done(_holding(_text.encode(_encoding)))


# Pictures of these names, whose ids stand in the template.
ODD_IDS = {
    "ids that are formulas": ("=cmd()", "+1", "-1", "@SUM(A1)", "=1+1"),
    "ids that numbers are taken for": ("1e5", "007", "1.0", "0x10", "1_000"),
    "ids that missing values are taken for": ("NA", "nan", "NULL", "None", "-"),
    "ids with quotes, commas and line breaks": ('a"b', "a,b", "a\nb", "'", " a "),
    "ids in other scripts": ("图像", "изображение", "صورة", "🙂", "e\u0301"),
}


def _template_of(names: tuple[str, ...]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([HEADER.split(","), *([id, "0", ""] for id in (*names, *IDS[len(names) :]))])
    return file.getvalue()


def _called(names: tuple[str, ...]) -> Callable[[Path], None]:
    """Return what gives the first pictures these names, and writes a template of all."""

    def spoil(own: Path) -> None:
        for id, name in zip(IDS, names, strict=False):
            (own / "pictures" / f"{id}.jpg").rename(own / "pictures" / f"{name}.jpg")
        (own / "template.csv").write_bytes(_template_of(names).encode())

    return spoil


for _name, _names in ODD_IDS.items():
    _done = case(_name, GROUP, "12 computed", commands=(WITH_IDS,), also=_as_they_were(_template_of(_names)))
    _done(_called(_names))


@case(
    "an é that is one letter in the table and two on the disk",
    GROUP,
    "read 1 of 12 ids in another form of Unicode",
    commands=(WITH_IDS,),
)
def _(own: Path) -> None:
    (own / "pictures" / "0005.jpg").rename(own / "pictures" / f"{unicodedata.normalize('NFD', 'é')}.jpg")
    (own / "template.csv").write_text(_with("é,0,"), encoding="utf-8")


@case("an id without a file", GROUP, "1 of 13 ids have no file", exit_code=1, commands=(WITH_IDS,))
def _(own: Path) -> None:
    with (own / "template.csv").open("a") as file:
        file.write("nowhere,0,\n")


@case(
    "ids without files, passed over",
    GROUP,
    "no such file",
    failures=2,
    commands=((*WITH_IDS, "--set", "images.missing=skip"),),
)
def _(own: Path) -> None:
    with (own / "template.csv").open("a") as file:
        file.write(f"nowhere,0,\n{'0' * 10_000},0,\n")


def _set(*values: str) -> tuple[tuple[str, ...], ...]:
    return ((*RUN, *(word for value in values for word in ("--set", value))),)


def _nothing(own: Path) -> None:
    pass


# What images.ids names, with what is made before, and what is said of it.
IN_PLACE: dict[str, tuple[Callable[[Path], object], tuple[str, ...], str]] = {
    "a table that is not there": (
        _nothing,
        ("images.ids=tempalte.csv",),
        "'tempalte.csv' cannot be read: No such file",
    ),
    "a folder for a table": (_nothing, ("images.ids=pictures",), "'pictures' is a folder; name a CSV"),
    "a FIFO for a table": (
        lambda own: os.mkfifo(own / "pipe.csv"),
        ("images.ids=pipe.csv",),
        "'pipe.csv' is not a regular file",
    ),
    "an endless device for a table": (_nothing, ("images.ids=/dev/zero",), "'/dev/zero' is not a regular file"),
    "a table that is a link to itself": (
        lambda own: (own / "loop.csv").symlink_to("loop.csv"),
        ("images.ids=loop.csv",),
        "cannot be read: Too many levels of symbolic links",
    ),
    "the config for a table": (_nothing, ("images.ids=config.yaml",), "'config.yaml' is not valid CSV: line 2"),
    "a column of ids that is not there": (
        _nothing,
        ("images.ids=template.csv", "images.id_column=imageid"),
        "has no column 'imageid' .its columns: 'ImageID', 'label', 'note'",
    ),
    "labels taken for ids": (
        _nothing,
        ("images.ids=template.csv", "images.id_column=label"),
        "row 2: id '0' stands already in row 1",
    ),
    "labels to be written over the ids": (
        _nothing,
        ("images.ids=template.csv", "outputs.label_column=ImageID"),
        "outputs.label_column: 'ImageID' is the column of the ids",
    ),
    "labels to be written into one of several columns of shares": (
        lambda own: (own / "template.csv").write_text(_csv(*(f"{id},0.5,0.5" for id in IDS), header="ImageID,a,b")),
        ("images.ids=template.csv", "outputs.label_column=a"),
        "labels would fill 'a' alone, but 'template.csv' has 2 columns of labels, .* set outputs.layout: soft",
    ),
    "the submission in the place of its template": (
        _nothing,
        ("images.ids=template.csv", "outputs.folder=.", "outputs.submission=template.csv"),
        "'.' has a template.csv that no run of imgcluster left there",
    ),
    "a table in another encoding than the config says": (
        _nothing,
        ("images.ids=template.csv", "images.encoding=utf-16"),
        "'template.csv' is not UTF-16",
    ),
    "known labels in a workbook": (
        lambda own: (own / "labels.csv").write_bytes(_zip()),
        ("clusters.numbering=truth:labels.csv",),
        "clusters.numbering: 'labels.csv' is a ZIP archive or a workbook",
    ),
    "known labels that are all blank": (
        lambda own: (own / "labels.csv").write_text("id,label\n0000,\n0001, \n"),
        ("clusters.numbering=truth:labels.csv",),
        "clusters.numbering: 'labels.csv' has 2 ids and no label; fill in some",
    ),
    "known labels that begin before the first": (
        lambda own: (own / "labels.csv").write_text("id,label\n0000,0\n0001,1\n"),
        ("clusters.numbering=truth:labels.csv", "outputs.label_offset=1"),
        "'labels.csv' has the label 0, but by outputs.label_offset labels begin at 1",
    ),
    "known labels of other images": (
        lambda own: (own / "labels.csv").write_text("id,label\nx,a\ny,b\n"),
        ("clusters.numbering=truth:labels.csv",),
        "",
    ),
}
for _name, (_spoil, _values, _says) in IN_PLACE.items():
    case(_name, GROUP, _says, exit_code=1, commands=_set(*_values))(_spoil)
