"""`init`, `run` and `validate` on the forms that templates of real competitions have.

Each gives a file of the right form, or one line that says why not. The data are made here, by the form alone; long rows
are shortened. Features come from a file, so that no image is read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgcluster
from imgcluster.cli.init.config import write_first_config
from imgcluster.cli.main import main
from imgcluster.config.loader import config_from_dict, load_config
from imgcluster.errors import ConfigError
from imgcluster.images.ids.label_cells import kind_of_cells, read_asked
from imgcluster.images.ids.table import read_template
from imgcluster.runs.known_classes import check_known_classes
from imgcluster.runs.validation import validated
from imgcluster.types import Template, TextTable

IMAGES = 24
LABEL, ZERO_ONE, SHARE = r"[0-9]+", r"[01]", r"[01]\.[0-9]{6}"


@dataclass(frozen=True)
class Shape:
    """A template: who asks for it; `cells`: what a row has after its id, over and over; `id`: a row's, by its number.

    keys: of the config that `init` writes. says: in one of its lines. sets: what a person then has to say. cell: each
    label in the submission. filled: columns that take labels.
    """

    site: str
    header: str
    cells: tuple[str, ...]
    keys: dict[str, Any]
    says: str = ""
    id: Callable[[int], str] = "{}".format
    file: str = "{id}.jpg"
    sets: tuple[str, ...] = ()
    cell: str = LABEL
    filled: tuple[str, ...] = ()
    encoding: str = "utf-8"
    row: Callable[[str, str], str] = "{},{}".format


def labels(column: str, offset: int = 0, n_clusters: int | str = "auto") -> dict[str, Any]:
    return {"layout": "labels", "label_column": column, "label_offset": offset, "n_clusters": n_clusters}


def wide(layout: str, n_clusters: int) -> dict[str, Any]:
    return {"layout": layout, "n_clusters": n_clusters}


def names(column: str, n_clusters: int | str = "auto") -> dict[str, Any]:
    return {"layout": "names", "label_column": column, "n_clusters": n_clusters}


NAMED = ("outputs.names={0: a, 1: b, 2: c}", "clusters.n_clusters=3")
WORD = "[abc]"
BY_NAME = "outputs.layout: soft or one_hot"
UNKNOWN = "the template does not tell how many classes there are"


SERVED = [
    Shape(
        "AIcrowd AI Blitz 7 Stage Prediction",
        "ImageID,label",
        ("0", "3", "4", "2", "1"),
        labels("label", 0, 5),
        "'label' holds 5 different labels, from 0 to 4",
    ),
    Shape("Kaggle Digit Recognizer", "ImageId,Label", ("0",), labels("Label"), "'Label' is 0 in every row"),
    Shape("Kaggle Petals to the Metal", "id,label", ("0",), labels("label"), UNKNOWN, "{:09x}".format),
    Shape("labels from 1, one of each row", "id,label", ("1",), labels("label", 1), "labels begin at 1"),
    Shape(
        "labels 1 to 8",
        "id,class",
        ("1", "2", "5", "8", "3", "6"),
        labels("class", 1, 8),
        "6 different labels, from 1 to 8",
        cell="[1-8]",
    ),
    Shape(
        "Kaggle Cassava Leaf Disease",
        "image_id,label",
        ("4",),
        labels("label"),
        "'label' is 4 in every row: where labels begin cannot be known",
        "{:010d}.jpg".format,
        "{id}",
    ),
    Shape("Kaggle APTOS 2019", "id_code,diagnosis", ("0",), labels("diagnosis"), UNKNOWN, "{:012x}".format, "{id}.png"),
    Shape(
        "Kaggle Diabetic Retinopathy Detection",
        "image,level",
        ("0",),
        labels("level"),
        UNKNOWN,
        lambda number: f"{number // 2}_{('left', 'right')[number % 2]}",
        "{id}.jpeg",
    ),
    Shape(
        "Kaggle Histopathologic Cancer Detection",
        "id,label",
        ("0",),
        labels("label"),
        UNKNOWN,
        "{:040x}".format,
        "{id}.tif",
    ),
    Shape(
        "Kaggle Cdiscount Image Classification",
        "_id,category_id",
        ("1000000055", "1000016018"),
        labels("category_id", 0, 2),
        "if these are codes of classes, set outputs.layout: names",
    ),
    Shape(
        "Kaggle Paddy Disease Classification",
        "image_id,label",
        ("",),
        labels("label"),
        "'label' is blank",
        "{:06d}.jpg".format,
        "{id}",
    ),
    Shape("ids alone", "id", ("",), labels("label"), "a column 'label' is added", row=lambda id, cells: id),
    Shape(
        "labels as decimals",
        "id,label",
        ("0.0",),
        labels("label"),
        "may be a probability instead of a label",
        cell="[0-9]",
    ),
    Shape("labels as decimals, from 1", "id,label", ("1.0", "2.0", "3.0"), labels("label", 1, 3), "from 1 to 3"),
    Shape(
        "Kaggle Dogs vs. Cats Redux", "id,label", ("0.5",), labels("label", 0, 2), "a probability (0.5)", cell=ZERO_ONE
    ),
    Shape(
        "Kaggle Aerial Cactus Identification",
        "id,has_cactus",
        ("0.5",),
        labels("has_cactus", 0, 2),
        "a probability",
        "{:032x}.jpg".format,
        "{id}",
        cell=ZERO_ONE,
    ),
    Shape(
        "Kaggle Invasive Species Monitoring",
        "name,invasive",
        ("0.5", "0", "0.2"),
        labels("invasive", 0, 2),
        "a probability",
        cell=ZERO_ONE,
    ),
    Shape(
        "DrivenData Naive Bees Classifier", "id,genus", ("0.5",), labels("genus", 0, 2), "a probability", cell=ZERO_ONE
    ),
    Shape(
        "DrivenData Hateful Memes",
        "id,proba,label",
        ("0.0,0",),
        labels("label"),
        "'proba' stays as in the template",
        "{:05d}".format,
        "{id}.png",
        filled=("label",),
    ),
    Shape(
        "Kaggle CIFAR-10",
        "id,label",
        ("cat",),
        names("label"),
        "a word ('cat')",
        sets=NAMED,
        cell=WORD,
        file="{id}.png",
    ),
    Shape(
        "Kaggle Plant Seedlings",
        "file,species",
        ("Maize", "Sugar beet", "Common wheat"),
        names("species", 3),
        "3 different words ('Maize', 'Sugar beet', 'Common wheat')",
        "{:09x}.png".format,
        "{id}",
        NAMED,
        WORD,
    ),
    Shape(
        "AIcrowd AI Blitz 7 Rover Classification",
        "ImageID,label",
        ("curiosity", "perseverance"),
        names("label", 2),
        "2 different words",
        sets=NAMED,
        cell=WORD,
    ),
    Shape(
        "Kaggle Plant Pathology 2021",
        "image,labels",
        ("healthy",),
        names("labels"),
        "a word ('healthy')",
        "{:016x}.jpg".format,
        "{id}",
        NAMED,
        WORD,
    ),
    Shape(
        "labels with leading zeros",
        "id,label",
        ("007", "012"),
        names("label", 2),
        "2 different words",
        sets=NAMED,
        cell=WORD,
    ),
    Shape(
        "Kaggle State Farm Distracted Driver",
        "img," + ",".join(f"c{number}" for number in range(10)),
        (",".join(["0.1"] * 10),),
        wide("soft", 10),
        "10 columns, 'c0' to 'c9': shares that add up to 1",
        "img_{}.jpg".format,
        "{id}",
        cell=SHARE,
    ),
    Shape(
        "Kaggle Dog Breed Identification",
        "id,affenpinscher,afghan_hound,yorkshire_terrier",
        ("0.3333333333333333,0.3333333333333333,0.3333333333333333",),
        wide("soft", 3),
        "shares that add up to 1",
        "{:032x}".format,
        cell=SHARE,
    ),
    Shape(
        "Kaggle Plant Pathology 2020",
        "image_id,healthy,multiple_diseases,rust,scab",
        ("0.25,0.25,0.25,0.25",),
        wide("soft", 4),
        "4 columns, 'healthy' to 'scab'",
        "test_{}".format,
        cell=SHARE,
    ),
    Shape(
        "Kaggle Nature Conservancy Fisheries",
        "image,ALB,BET,DOL,LAG,NoF,OTHER,SHARK,YFT",
        ("0.455003,0.052938,0.030969,0.017734,0.123081,0.079142,0.046585,0.194548",),
        wide("soft", 8),
        "shares that add up to 1",
        "img_{:05d}.jpg".format,
        "{id}",
        cell=SHARE,
    ),
    Shape(
        "Kaggle HMS Harmful Brain Activity",
        "eeg_id,seizure_vote,lpd_vote,gpd_vote,lrda_vote,grda_vote,other_vote",
        ("0.166,0.166,0.167,0.167,0.167,0.167",),
        wide("soft", 6),
        "shares that add up to 1",
        cell=SHARE,
    ),
    Shape(
        "DrivenData Conser-vision",
        "id,antelope_duiker,bird,blank,civet_genet,hog,leopard,monkey_prosimian,rodent",
        ("0.125," * 7 + "0.125", "0.048233,0.189185,0.044914,0.199588,0.106118,0.132915,0.16641,0.112637"),
        wide("soft", 8),
        "8 columns",
        "ZJ{:06d}".format,
        cell=SHARE,
    ),
    Shape(
        "DrivenData Open AI Caribbean",
        "id,concrete_cement,healthy_metal,incomplete,irregular_metal,other",
        ("0.9,0.0,0.0,0.0,0.0",),
        wide("soft", 5),
        BY_NAME,
        "{:08x}".format,
        cell=SHARE,
    ),
    Shape(
        "Grand Challenge DFU 2021",
        "image,none,infection,ischaemia,both",
        ("0.13,0.78,0.05,0.04", "0.01,0,0.46,0.53"),
        wide("soft", 4),
        "shares that add up to 1",
        "5010{:02d}.jpg".format,
        "{id}",
        cell=SHARE,
    ),
    Shape(
        "ISIC 2018 task 3",
        "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC",
        ("0.0,1.0,0.0,0.0,0.0,0.0,0.0",),
        wide("soft", 7),
        "shares that add up to 1",
        "ISIC_{:07d}".format,
        cell=SHARE,
    ),
    Shape(
        "DrivenData TissueNet",
        "filename,0,1,2,3",
        ("1,0,0,0", "0,0,1,0"),
        wide("one_hot", 4),
        "a single 1 in each row",
        "C{:02d}_B001.tif".format,
        "{id}",
        cell=ZERO_ONE,
    ),
    Shape(
        "Kaggle RANZCR CLiP",
        "StudyInstanceUID,ETT - Abnormal,ETT - Borderline,ETT - Normal,NGT - Abnormal",
        ("0,0,0,0",),
        wide("one_hot", 4),
        "if an image may have several labels: each gets one",
        "826{:08d}".format,
        cell=ZERO_ONE,
    ),
    Shape(
        "DrivenData Pri-matrix Factorization",
        "filename,bird,blank,cattle,chimpanzee",
        ("0,1,0,0", "1,0,0,1"),
        wide("one_hot", 4),
        "several 1 or none in some rows",
        cell=ZERO_ONE,
    ),
    Shape(
        "Kaggle Galaxy Zoo, zeros",
        "GalaxyID,Class1.1,Class1.2,Class1.3",
        ("0,0,0",),
        wide("one_hot", 3),
        BY_NAME,
        cell=ZERO_ONE,
    ),
    Shape(
        "classes from 1, of one digit and two",
        "id," + ",".join(f"class_{number}" for number in (1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)),
        (",".join(["0.0"] * 11),),
        wide("soft", 11),
        BY_NAME,
        cell=SHARE,
    ),
    Shape(
        "Kaggle solution file, with Usage",
        "Id,Category,Usage",
        ("0,Public", "1,Private", "2,Public"),
        labels("Category", 0, 3),
        "3 different labels",
        filled=("Category",),
    ),
    Shape(
        "shares, with Usage",
        "id,a,b,c,Usage",
        ("0.4,0.3,0.3,Public",),
        wide("soft", 3),
        "'a' to 'c'",
        filled=("a", "b", "c"),
        cell=SHARE,
    ),
    Shape(
        "sizes and paths beside the label",
        "id,path,width,height,label",
        ("x/y.jpg,640,480,0",),
        labels("label"),
        UNKNOWN,
        filled=("label",),
    ),
    Shape("a byte order mark", "id,label", ("0",), labels("label"), UNKNOWN, encoding="utf-8-sig"),
    Shape("quoted cells", "id,label", ("0",), labels("label"), UNKNOWN, row='"{}","{}"'.format),
    Shape("ids with folders", "id,label", ("0",), labels("label"), UNKNOWN, "a/b{}.jpg".format, "{id}"),
    Shape("ids with leading zeros", "id,label", ("0",), labels("label"), UNKNOWN, "{:05d}".format),
]


def made(tmp_path: Path, shape: Shape) -> tuple[Path, Path]:
    """Write the images, which are never read, their features and the template; return their folder and the template."""
    folder, ids = tmp_path / "images", [shape.id(number) for number in range(IMAGES)]
    for id in ids:
        file = folder / shape.file.replace("{id}", id)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    random = np.random.default_rng(0)
    vectors = random.normal(0, 0.1, (IMAGES, 6)) + np.eye(6)[np.arange(IMAGES) % 3] * 9
    np.savez(tmp_path / "features.npz", ids=ids, vectors=vectors.astype(np.float32))
    rows = [shape.row(id, cells) for id, cells in zip(ids, islice(cycle(shape.cells), IMAGES), strict=True)]
    template = tmp_path / "template.csv"
    template.write_text("\n".join([shape.header, *rows]) + "\n", encoding=shape.encoding)
    return folder, template


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(shape, id=shape.site, marks=[pytest.mark.slow] if number % 5 else [])
        for number, shape in enumerate(SERVED)
    ],
)
def test_what_is_served(tmp_path: Path, shape: Shape) -> None:
    folder, template = made(tmp_path, shape)
    lines = write_first_config(folder, template, tmp_path / "c.yaml")
    assert any(shape.says in line for line in lines), lines
    always = [
        f"features.file={tmp_path / 'features.npz'}",
        f"outputs.folder={tmp_path / 'out'}",
        "outputs.report=false",
    ]
    config = load_config(tmp_path / "c.yaml", always)
    written = {**config.outputs.model_dump(), "n_clusters": config.clusters.n_clusters}
    assert {key: written[key] for key in shape.keys} == shape.keys
    if shape.sets:
        with pytest.raises(ConfigError, match=r"^outputs.layout: names needs outputs.names, .*truth:CSV or .*learned$"):
            imgcluster.check(config)
    config = load_config(tmp_path / "c.yaml", [*always, "clusters.method=kmeans", *shape.sets])
    imgcluster.check(config)
    imgcluster.run(config, show=False)
    submission = tmp_path / "out" / "submission.csv"
    wanted, found = table(template), table(submission)
    added = [] if set(shape.keys.get("label_column", "").split()) <= set(wanted[0]) else ["label"]
    assert list(found[0]) == [*wanted[0], *added]
    filled = shape.filled or tuple(found[0])[1:]
    for old, new in zip(wanted, found, strict=True):
        assert {name: cell for name, cell in new.items() if name not in filled} == {
            name: cell for name, cell in old.items() if name not in filled
        }
        for name in filled:
            assert re.fullmatch(shape.cell, new[name]), (name, new)
    if not added:
        assert validated(submission, template).rows == IMAGES


NO_MASKS = "which clusters are not; to cluster the images without a submission, leave out --ids"
ROWS = "clusters give each image one answer, so no submission can be written. To cluster the images without"


@dataclass(frozen=True)
class Refused:
    """A template that clusters cannot fill; says: why. by_hand: what a config that was written by hand is told."""

    site: str
    header: str
    cells: tuple[str, ...]
    says: str
    id: Callable[[int], str] = "{}".format
    file: str = "{id}.jpg"
    image: Callable[[int], str] | None = None
    by_hand: str = ""
    row: Callable[[str, str], str] = "{},{}".format


def each(name: str, *endings: str) -> Callable[[int], str]:
    """Name rows by an image and an ending, all endings for each image."""
    return lambda number: name.format(number // len(endings)) + endings[number % len(endings)]


MASK = "to cluster without a submission, set outputs.submission: null"

REFUSED = [
    Refused(
        "Kaggle iMet 2020",
        "id,attribute_ids",
        ("0 1 2",),
        f"'attribute_ids' holds lists .*'0 1 2'.*{NO_MASKS}",
        by_hand=f"'attribute_ids' of .* holds lists .* {MASK}",
    ),
    Refused(
        "Kaggle iNaturalist 2019", "id,predicted", ("71 108 339 341 560",), f"'predicted' holds lists .*{NO_MASKS}"
    ),
    Refused("Kaggle Hotel-ID 2021", "image,hotel_id", ("36363 53586 18807",), f"'hotel_id' holds lists .*{NO_MASKS}"),
    Refused("Kaggle TGS Salt", "id,rle_mask", ("1 1",), f"'rle_mask' holds lists or shapes such as masks.*{NO_MASKS}"),
    Refused(
        "Kaggle Airbus Ship Detection",
        "ImageId,EncodedPixels",
        ("",),
        f"'EncodedPixels' holds lists or.*{NO_MASKS}",
        by_hand=f"'EncodedPixels' of .* holds lists or shapes .* {MASK}",
    ),
    Refused(
        "Kaggle VinBigData Chest X-ray", "image_id,PredictionString", ("14 1 0 0 1 1",), f"boxes or several.*{NO_MASKS}"
    ),
    Refused("Kaggle SIIM COVID-19", "Id,PredictionString", ("negative 1 0 0 1 1",), f"holds lists .*{NO_MASKS}"),
    Refused("Kaggle Kuzushiji Recognition", "image_id,labels", ("{U+003F 1 1} {U+FF2F 2 2}",), f"lists .*{NO_MASKS}"),
    Refused("boxes as Python lists", "id,bbox", ('"[1, 2, 30, 40]"',), f"'bbox' holds lists .*{NO_MASKS}"),
    Refused(
        "Kaggle PetFinder Pawpularity",
        "Id,Pawpularity",
        ("99.24", "61.71", "6.23"),
        f"'Pawpularity' holds measured values .'99.24'.*{NO_MASKS}",
        by_hand=f"holds measured values .* {MASK}",
    ),
    Refused("Kaggle ALASKA2", "Id,Label", ("0.1", "0.99", "1.2", "-2.2"), f"measured values .*{NO_MASKS}"),
    Refused(
        "Kaggle FathomNet",
        "id,categories,osd",
        ("1 146 10,0.1",),
        "which column takes the labels, 'categories', 'osd'. Name it with --label-column",
    ),
    Refused(
        "a point in each image", "id,x,y", ("12,31", "40,2"), "which column takes the labels, 'x', 'y'. Name it with"
    ),
    Refused("a path and no label", "id,path", ("a/b.jpg",), "has no column for labels; name one with --label-column"),
    Refused(
        "Kaggle RSNA Intracranial Hemorrhage",
        "ID,Label",
        ("0.5",),
        f"several rows for each image: .*'ID_000_epidural', the image 'ID_000' and '_epidural'; {ROWS}",
        each("ID_{:03x}", "_epidural", "_subdural", "_any"),
        image="ID_{:03x}".format,
    ),
    Refused(
        "Kaggle Understanding Clouds",
        "Image_Label,EncodedPixels",
        ("1 1",),
        f"several rows for each image: .*{ROWS}",
        each("{:07x}.jpg", "_Fish", "_Flower", "_Gravel", "_Sugar"),
        "{id}",
        "{:07x}.jpg".format,
    ),
    Refused(
        "Kaggle Severstal, at first",
        "ImageId_ClassId,EncodedPixels",
        ("1 1",),
        f"'0000000.jpg' and '_1'; {ROWS}",
        each("{:07x}.jpg", "_1", "_2", "_3", "_4"),
        "{id}",
        "{:07x}.jpg".format,
    ),
    Refused(
        "Kaggle Bengali.AI",
        "row_id,target",
        ("0",),
        f"'Test_0' and '_consonant_diacritic'; {ROWS}",
        each("Test_{}", "_consonant_diacritic", "_grapheme_root", "_vowel_diacritic"),
        image="Test_{}".format,
    ),
    Refused(
        "Kaggle Denoising Dirty Documents",
        "id,value",
        ("1",),
        f"several rows for each image: .*'_1_1'; {ROWS}",
        each("{}", "_1_1", "_1_2", "_2_1", "_2_2"),
        image="{}".format,
    ),
    Refused(
        "Kaggle UW-Madison GI Tract",
        "id,class,predicted",
        ("large_bowel,1 1", "small_bowel,1 1", "stomach,1 1"),
        f"names its rows by 'id' and 'class' together, 24 rows for 8 images; {ROWS}",
        each("{}", "", "", ""),
    ),
    Refused(
        "Kaggle Severstal, later",
        "ImageId,EncodedPixels,ClassId",
        ("1 1,1", "1 1,2", "1 1,3", "1 1,4"),
        f"by 'ImageId' and 'ClassId' together, 24 rows for 6 images; {ROWS}",
        each("{:03x}.jpg", *[""] * 4),
        "{id}",
    ),
    Refused(
        "DrivenData Where's Whale-do",
        "query_id,database_image_id,score",
        tuple(f"train{number:04d},0.5" for number in range(12)),
        f"by 'query_id' and 'database_image_id' together, 24 rows for 2 images; {ROWS}",
        each("test{:04d}", *[""] * 12),
    ),
    Refused("semicolons", "id;label", ("0",), "separates its columns by semicolons", row="{};{}".format),
    Refused("tabs", "id\tlabel", ("0",), "separates its columns by tabs; commas are needed", row="{}\t{}".format),
]


@pytest.mark.parametrize("shape", REFUSED, ids=lambda shape: shape.site)
def test_what_is_refused(tmp_path: Path, shape: Refused) -> None:
    folder = tmp_path / "images"
    ids = [shape.id(number) for number in range(IMAGES)]
    named = ids if shape.image is None else [shape.image(number) for number in range(IMAGES)]
    for name in {shape.file.replace("{id}", each) for each in named}:
        folder.mkdir(exist_ok=True)
        (folder / name).touch()
    rows = [shape.row(id, cells) for id, cells in zip(ids, islice(cycle(shape.cells), IMAGES), strict=True)]
    template = tmp_path / "template.csv"
    template.write_text("\n".join([shape.header, *rows]) + "\n")
    with pytest.raises(ConfigError, match=shape.says) as caught:
        write_first_config(folder, template, tmp_path / "c.yaml")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "c.yaml").exists()
    if shape.by_hand:
        column = shape.header.split(",")[1]
        sections = {
            "images": {"folder": str(folder), "ids": str(template)},
            "clusters": {"n_clusters": 3},
            "outputs": {"folder": str(tmp_path / "out"), "label_column": column},
        }
        for layout in ("labels", "names"):
            config = config_from_dict({**sections, "outputs": {**sections["outputs"], "layout": layout}})
            with pytest.raises(ConfigError, match=shape.by_hand):
                imgcluster.check(config)


def test_an_index_column_stays_and_is_no_label(tmp_path: Path) -> None:
    folder, template = made(tmp_path, Shape("", "id,a,b", ("0.5,0.5",), {}))
    rows = template.read_text().splitlines()
    template.write_text("\n".join([f",{rows[0]}", *(f"{number},{row}" for number, row in enumerate(rows[1:]))]) + "\n")
    sections = {
        "images": {"folder": str(folder), "ids": str(template), "id_column": "id"},
        "features": {"file": str(tmp_path / "features.npz")},
        "clusters": {"method": "kmeans", "n_clusters": 2},
        "outputs": {"folder": str(tmp_path / "out"), "layout": "soft", "report": False},
    }
    imgcluster.run(config_from_dict(sections), show=False)
    found = table(tmp_path / "out" / "submission.csv")
    assert list(found[0]) == ["", "id", "a", "b"]
    assert [row[""] for row in found] == [str(number) for number in range(IMAGES)]
    assert validated(tmp_path / "out" / "submission.csv", template, id_column="id").notes == []
    sections["outputs"].update(layout="labels", label_column="a")
    with pytest.raises(ConfigError, match=r"labels would fill 'a' alone, but .* has 2 columns of labels, 'a', 'b'"):
        imgcluster.check(config_from_dict(sections))


def test_several_columns_beside_the_labels_are_several(tmp_path: Path) -> None:
    folder, template = made(tmp_path, Shape("", "id,proba,share,label", ("0.0,0.0,0",), {}))
    assert "labels    'proba', 'share' stay as in the template" in write_first_config(
        folder, template, tmp_path / "c.yaml"
    )


def test_the_column_of_labels_can_be_named(tmp_path: Path) -> None:
    folder, template = made(tmp_path, Shape("", "id,kind,place", ("0,7", "1,5"), {}))
    with pytest.raises(ConfigError, match="which column takes the labels, 'kind', 'place'"):
        write_first_config(folder, template, tmp_path / "c.yaml")
    write_first_config(folder, template, tmp_path / "c.yaml", label_column="kind")
    assert load_config(tmp_path / "c.yaml").outputs.label_column == "kind"
    with pytest.raises(ConfigError, match=r"^--label-column: .* has no column 'id' beside the ids"):
        write_first_config(folder, template, tmp_path / "c.yaml", label_column="id", force=True)
    template.write_text(template.read_text().replace(",7", ",0").replace(",5", ",1"))
    with pytest.raises(ConfigError, match="labels would fill 'kind' alone"):
        write_first_config(folder, template, tmp_path / "c.yaml", label_column="kind", force=True)


def test_an_id_twice_is_no_second_column_of_ids(tmp_path: Path) -> None:
    folder, template = made(tmp_path, Shape("", "id,label", ("0",), {}))
    template.write_text(template.read_text() + "3,1\n")
    with pytest.raises(ConfigError, match="row 25: id '3' stands already in row 4"):
        write_first_config(folder, template, tmp_path / "c.yaml")
    template.write_text("id,label\nqq_x,0\nqq_y,0\n")
    with pytest.raises(ConfigError, match=r"no image below .* is called 'qq_x'"):
        write_first_config(folder, template, tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("header", "cells", "unknown"),
    [
        ("id,lat,lon", ("0.0,0.0",), True),
        ("id,lat,lon", ("0,0",), True),
        ("id,cat,dog", ("0.5,0.5",), False),
        ("id,cat,dog", ("0,1", "1,0"), False),
    ],
)
def test_columns_that_may_be_no_classes_are_said(
    tmp_path: Path, header: str, cells: tuple[str, ...], unknown: bool
) -> None:
    folder, template = made(tmp_path, Shape("", header, cells, {}))
    said = "whether each column is a class cannot be known: if they take coordinates or other measured values"
    assert (said in "\n".join(write_first_config(folder, template, tmp_path / "c.yaml"))) == unknown
    assert (said in (tmp_path / "c.yaml").read_text()) == unknown


def test_a_large_wide_template_is_looked_at_in_part() -> None:
    ids = [str(number) for number in range(50_000)]
    frame = TextTable(["id", *"abc"], [ids, *[["0.3333"] * len(ids)] * 3])
    asked = read_asked(Template("t.csv", frame, "id"))
    assert (asked.kind, asked.columns) == ("soft", ("a", "b", "c"))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["0", "-1", "+3"], "whole"),
        (["1.0", "2", "3e2"], "decimal"),
        (["0.5", "1"], "share"),
        (["-0.5", "1"], "measured"),
        (["1e99999"], "words"),  # a number too large to be one
        (["007"], "words"),
        (["cat", "7"], "mixed"),
        (["NaN", "", "?"], "blank"),
        (["1 2", "3 4 5"], "lists"),
        (["0.5,0.5"], "lists"),
        (["[1]", "[]"], "lists"),
        (["person 1 2 3 4"], "lists"),
        (["Sugar beet", "new_whale w_1287fbc"], "words"),
        (["class 1"], "words"),
    ],
)
def test_kinds_of_cells(cells: list[str], kind: str) -> None:
    assert kind_of_cells(cells) == kind


def test_words_are_put_into_the_config_to_be_sorted(tmp_path: Path) -> None:
    folder, template = made(tmp_path, Shape("", "id,label", ('"a: b"', '"#2"'), {}))
    lines = write_first_config(folder, template, tmp_path / "c.yaml")
    assert lines[-1].startswith(
        "next      say in the config which cluster is which word, then python -m imgcluster run "
    )
    text = (tmp_path / "c.yaml").read_text()
    (tmp_path / "c.yaml").write_text(text.replace("  # names: {", "  names: {"))
    assert load_config(tmp_path / "c.yaml").outputs.names == {0: "a: b", 1: "#2"}


@pytest.mark.parametrize(
    ("columns", "known", "keys", "message"),
    [
        ("c1,c2,c3", "1 2", {}, r"label_offset: 0, but the columns .* from 1, .* set outputs.label_offset: 1$"),
        ("c1,c2,c3", "1 2", {"label_offset": 1}, None),
        ("c0,c1,c2", "1 3", {}, r"has the labels '3', but the columns of the template end in 0 to 2; write the labels"),
        (
            "cat,dog,emu",
            "cat dog",
            {},
            r"only 2 different labels \('cat', 'dog'\) for 3 clusters, .*: one_hot needs",
        ),
        ("cat,dog,emu", "Cat dog emu", {}, r"has the labels 'Cat', which are no columns of the template \('cat', "),
        ("cat,dog,emu", "cat dog emu", {}, None),
        ("label", "cat dog", {"layout": "names"}, r"only 2 different labels .* for 3 clusters, and .*: names needs"),
        ("label", "cat dog emu", {"layout": "names"}, None),
    ],
)
def test_known_labels_that_fit_no_column_are_refused_before_the_work(
    tmp_path: Path, columns: str, known: str, keys: dict[str, Any], message: str | None
) -> None:
    cells = ",".join(["1", "0", "0"]) if "," in columns else "cat"
    (tmp_path / "t.csv").write_text(f"id,{columns}\n" + "".join(f"{row},{cells}\n" for row in range(4)))
    rows = "".join(f"{row},{label}\n" for row, label in enumerate(known.split()))
    (tmp_path / "known.csv").write_text(f"id,label\n{rows}")
    clusters = {"n_clusters": 3, "numbering": f"truth:{tmp_path / 'known.csv'}"}
    outputs = {"folder": "out", "layout": "one_hot", **keys}
    config = config_from_dict({"images": {"folder": "."}, "clusters": clusters, "outputs": outputs})
    template = read_template(tmp_path / "t.csv", None)
    if message is None:
        check_known_classes(template, config)
        return
    with pytest.raises(ConfigError, match=message):
        check_known_classes(template, config)


def test_a_config_with_too_few_known_labels_is_refused_by_check(config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "known.csv").write_text("id,label\n0000,cat\n0001,dog\n")
    keys = [f"clusters.numbering=truth:{tmp_path / 'known.csv'}", "outputs.layout=one_hot", "images.ids=null"]
    arguments = [part for key in keys for part in ("--set", key)]
    with pytest.raises(ConfigError, match=r"has only 2 different labels \('cat', 'dog'\) for 3 clusters"):
        imgcluster.run(load_config(config_file, keys), show=False)
    assert not (tmp_path / "store").exists()  # before any work
    assert main(["check", str(config_file), *arguments]) == 1
