"""Bad configs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from tests.support.bad_input import CONFIG, IMAGES, RUN, case

GROUP = "configs"
TEN_30 = "1" + "0" * 30
K = "allowed: a whole number >= 1, auto"
BOMB = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 11))])


def _with(old: str, new: str) -> str:
    assert old in CONFIG
    return CONFIG.replace(old, new)


# What config.yaml holds, and what is said of it.
TEXTS: dict[str, tuple[str | bytes, str]] = {
    "an empty config": ("", "config.yaml: empty; a config has the sections images, features, clusters, outputs"),
    "a config of comments": ("# images:\n#   folder: pictures\n", "config.yaml: empty; a config has the sections"),
    "a list where the sections belong": ("- images: {folder: pictures}\n", "not a mapping; a config has the sections"),
    "a config that is one word": ("pictures\n", "not a mapping; a config has the sections"),
    "a binary file as config": (bytes(range(256)) * 8, "line 2: byte 0x80 is not UTF-8"),
    "a picture as config": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "line 1: byte 0xff is not UTF-8"),
    "a config in UTF-16": (CONFIG.encode("utf-16"), "byte 0xff is not UTF-8; save the file as UTF-8"),
    "a config in Latin-1": (_with("pictures", "Fotos für Jörg").encode("latin-1"), "line 1: byte 0xfc is not UTF-8"),
    "a config of 5 MB": (CONFIG + "#" * 5_000_000, "larger than 1 MB; is this a config"),
    "tabs for indentation": (_with("images: {folder: pictures}", "images:\n\tfolder: pictures"), "line 2.*not tabs"),
    "a tag that would run a command": (
        _with("pictures", "!!python/object/apply:os.system ['touch owned']"),
        "line 1, column 18: tag !!python/object/apply:os.system is not supported",
    ),
    "a tag of a type": (_with("n_clusters: 3", "n_clusters: !!int '3'"), "line 3, column 40: tag !!int is not"),
    "aliases that unfold to billions": (BOMB, "more than 10000 values, or nested too deeply"),
    "an alias of itself": ("images: &a {folder: *a}\n", "more than 10000 values, or nested too deeply"),
    "ten thousand brackets": ("images: " + "[" * 10_000, "more than 10000 values, or nested too deeply"),
    "a section twice": (CONFIG + "clusters: {n_clusters: 4}\n", "clusters .line 5.: given before, in line 3"),
    "a key twice": (
        _with("n_clusters: 3", "n_clusters: 3, n_clusters: 4"),
        "clusters.n_clusters .line 3.: given before, in line 3",
    ),
    "a key again in capitals": (
        _with("n_clusters: 3", "n_clusters: 3, N_Clusters: 4"),
        "clusters.N_Clusters .line 3.: unknown key; did you mean 'n_clusters'",
    ),
    "two documents in one config": (CONFIG + "---\n" + CONFIG, "line 5.*expected a single document"),
    "a colon that is missing": (_with("clusters: {", "clusters {"), "line 3.*is a ':' missing above"),
    "a brace that is missing": (_with("n_clusters: 3}", "n_clusters: 3"), "line 4.*expected ',' or '}', but got ':'"),
    "a blank that is missing behind a colon": (
        _with("n_clusters: 3", "n_clusters:3"),
        "clusters.n_clusters:3 .line 3.: unknown key; did you mean 'n_clusters'",
    ),
    "a bracket in a name, without quotes": (_with("images: {", "images: {file: {id}.jpg, "), "line 1.*goes in quotes"),
    "curly quotes of a word processor": (_with("pictures", "“pictures”"), "images.folder: '“pictures”' is not a"),
    "no-break spaces of a web page": (
        _with("images: {folder: pictures}", "images:\n\u00a0\u00a0folder: pictures"),
        "images.folder .line 1.: missing.*folder' .line 2.: unknown key",
    ),
    "a path of Windows in double quotes": (_with("pictures", r'"C:\Users\me"'), "line 1.*escape sequence"),
    "marks of a merge conflict in a config": ("<<<<<<< HEAD\n" + CONFIG, "line 2.*is a ':' missing above"),
    "a folder with a NUL": (_with("pictures", r'"pictures\0"'), r"images.folder .line 1.: found 'pictures\\x00'"),
    "a key that is nearly right": (
        _with("n_clusters", "n_cluster"),
        "clusters.n_cluster .line 3.: unknown key; did you mean 'n_clusters'",
    ),
    "a section that is nearly right": (
        _with("clusters:", "cluster:"),
        "2 problems; cluster .line 3.: unknown key; did you mean 'clusters'",
    ),
    "a key in another's section": (
        _with("batch_size: 4", "n_clusters: 4"),
        "features.n_clusters .line 2.: unknown key; did you mean 'clusters.n_clusters'",
    ),
    "a key with a dash": (_with("batch_size", "batch-size"), "unknown key; did you mean 'batch_size'"),
    "sections without their keys": (
        "images:\nfeatures:\nclusters:\noutputs:\n",
        "3 problems; images.folder .line 1.: missing, .*clusters.n_clusters .line 3.*outputs.folder .line 4.: missing",
    ),
    "texts where sections belong": (
        "images: a\nfeatures: b\nclusters: c\noutputs: d\n",
        "4 problems; images .line 1.: found 'a', allowed: a mapping with the keys folder, include, exclude, ids",
    ),
    "many mistakes at once": (
        CONFIG.replace("3", "three").replace("false", "no").replace("batch_size: 4", "batch_size: 0"),
        "3 problems; features.batch_size .line 2.*clusters.n_clusters .line 3.*outputs.report .line 4.",
    ),
}

# What --set gives, and what is said of it.
VALUES: dict[str, tuple[str, str]] = {
    "a number in quotes": ("clusters.n_clusters='3'", "found '3' .text., " + K),
    "yes for a number": ("clusters.n_clusters=yes", "found 'yes' .text., " + K),
    "true for a number": ("clusters.n_clusters=true", "found true .a boolean., " + K),
    "on for a switch": ("outputs.report=on", "found 'on', allowed: true or false"),
    "1 for a switch": ("outputs.report=1", "found 1 .a number., allowed: true or false"),
    "a number for a folder": ("outputs.folder=2021", "found 2021 .a number.*put it in quotes"),
    "a list of folders": ("images.folder=[pictures, more]", "images.folder: 'more' is not a folder"),
    "no folder": ("images.folder=null", "images.folder .--set.: found null .no value., allowed: non-empty text"),
    "no method": ("clusters.method=null", "found null .no value., allowed: auto, diffusion, kmeans"),
    "clusters that are not a number": ("clusters.n_clusters=.nan", "found nan, " + K),
    "infinitely many clusters": ("clusters.n_clusters=.inf", "found inf, " + K),
    "10^30 clusters": (f"clusters.n_clusters={TEN_30}", f"{TEN_30} clusters need at least as many images"),
    "a cluster more than images": ("clusters.n_clusters=13", "13 clusters need at least as many images"),
    "no clusters": ("clusters.n_clusters=0", "found 0, " + K),
    "minus three clusters": ("clusters.n_clusters=-3", "found -3, " + K),
    "three and a half clusters": ("clusters.n_clusters=3.5", "found 3.5, " + K),
    "a range of clusters backwards": ("clusters.n_clusters=9..2", "a range goes from 2 or more up, such as 2..20"),
    "20 to a billion clusters": ("clusters.n_clusters=20..1000000000", "from 20 to 1000000000 suits 12 images"),
    "a batch of none": ("features.batch_size=0", "found 0, allowed: auto or a whole number >= 1"),
    "a batch of a billion": ("features.batch_size=1000000000", "1,000,000,000 images do not fit into memory"),
    "a batch of 10^30": (f"features.batch_size={TEN_30}", "1(,000){10} images do not fit into memory"),
    "a seed of 10^30": (f"clusters.random_state={TEN_30}", "allowed: a whole number from 0 to 4294967295"),
    "PCA to nothing": ("clusters.transform=[{pca: 0}]", r"clusters.transform\[0\] .--set.: found {'pca': 0}"),
    "PCA to more than the images allow": (
        f"clusters.transform=[{{pca: {TEN_30}}}]",
        f"clusters.transform: pca: {TEN_30} is more than 12 images allow",
    ),
    "PCA to not a number": ("clusters.transform=[{pca: .nan}]", "found {'pca': nan}"),
    "a step that there is not": ("clusters.transform=[L2]", "found 'L2' .text., allowed: l2, .*did you mean 'l2'"),
    "an order that costs infinitely much": ("clusters.order={smooth: .inf}", "found {'smooth': inf}.*a number > 0"),
    "factors that are not numbers": ("features.block_weights=[.nan]", r"block_weights\[0\] .--set.: found nan"),
    "factors that are infinite": ("features.block_weights=[.inf]", r"block_weights\[0\] .--set.: found inf"),
    "a factor of 10^308": ("features.block_weights=[1.0e+308]", "the features of 12 images are not finite"),
    "more factors than layers": ("features.block_weights=[1, 2, 3]", "3 factors for 1 layers"),
    "pictures of a million by a million": (
        "features.preprocess=[{squash: 1000000}]",
        "{'squash': 1000000} is none of its steps: .*pixels, 16384 at the most",
    ),
    "pictures of 10^30 that are cut small": (
        f"features.preprocess=[{{resize: {TEN_30}}}, {{center_crop: 224}}]",
        "is none of its steps: .*pixels, 16384 at the most",
    ),
    "a standard deviation that is infinite": (
        "features.preprocess=[{squash: 224}, {normalize: {mean: [0.0, 0.0, 0.0], std: [.inf, 1.0, 1.0]}}]",
        "is none of its steps",
    ),
    "a mean that is not a number": (
        "features.preprocess=[{squash: 224}, {normalize: {mean: [.nan, 0.0, 0.0], std: [1.0, 1.0, 1.0]}}]",
        "is none of its steps",
    ),
    "the layer before -10^30": (f"features.layer=-{TEN_30}", f"efficientnet_lite0 has no layer '-{TEN_30}'"),
    "a layer of another network": ("features.layer=fc6", "efficientnet_lite0 has no layer 'fc6'"),
    "a parameter of another method": ("clusters.parameters={linkage: ward}", "kmeans has no 'linkage'"),
    "a parameter that is a key": ("clusters.parameters={n_clusters: 5}", "'n_clusters' is said by clusters.n_clusters"),
    "a pattern without {id}": ("images.file=0000.jpg", "found '0000.jpg', allowed: text that holds {id}"),
    "an encoding that there is not": ("images.encoding=utf-9", "did you mean 'utf-8'"),
    "a submission in another folder": ("outputs.submission=../submission.csv", "allowed: a plain file name ending in"),
    "a submission by a name of 300 letters": (f"outputs.submission={'s' * 300}.csv", "s.csv': File name too long"),
    "layout names without names": ("outputs.layout=names", "names needs outputs.names, such as"),
    "a name for a cluster that is not a number": ("outputs.names={first: a}", "'first' is not a number of a cluster"),
    "numbers as in a run that is not there": ("clusters.numbering=match:nowhere", "clusters.numbering: 'nowhere' can"),
    "known labels that are not there": ("clusters.numbering=truth:nowhere.csv", "'nowhere.csv' cannot be read"),
    "an address without a port": ("engine={dask: {address: 'tcp://localhost'}}", "allowed: tcp://HOST:PORT or null"),
    "a secret in the storage": ("storage={s3: {secret: hunter2}}", "s3.secret: a secret does not belong into a config"),
    "a password in a URL": (
        "images.folder='https://me:hunter2@example.com/pictures'",
        "images.folder .--set.: a URL with a password in it does not belong into a config",
    ),
    "a folder of images that is a file": (
        "images.folder=template.csv",
        "images.folder: 'template.csv' is a file; name the folder",
    ),
    "a folder of images that is not there": ("images.folder=pictres", "images.folder: 'pictres' is not a folder"),
    "a folder of images by a name of 5,000 letters": (f"images.folder={'o' * 5_000}", "o' is not a folder"),
    "an outputs.folder that is a file": ("outputs.folder=template.csv", "'template.csv' cannot be used: File exists"),
    "an outputs.folder below a file": ("outputs.folder=template.csv/out", "cannot be used: Not a directory"),
    "an outputs.folder by a name of 300 letters": (f"outputs.folder={'o' * 300}", "cannot be used: File name too long"),
    "a store that is a file": ("features.store=template.csv", "features.store: 'template.csv/.*Not a directory"),
    "--set without a value": ("clusters.n_clusters", "--set clusters.n_clusters: not KEY=VALUE"),
    "--set with an empty value": ("clusters.n_clusters=", "nothing after '='; write null for no value"),
    "--set without a key": ("=3", "--set =3: not KEY=VALUE"),
    "--set of dots": ("...=3", "--set ...=3: not KEY=VALUE"),
    "--set of a key's key": ("clusters.transform.pca=3", "items cannot be set one by one; give all"),
    "--set of an item": ("clusters.transform[0]=l2", "items cannot be set one by one; give all"),
    "--set of half a list": ("clusters.transform=[l2", "expected ',' or ']'"),
    "--set of a key that there is not": ("clusters.n_cluster=3", "unknown key; did you mean 'n_clusters'"),
    "--set of a tag": ("clusters.n_clusters=!!python/object/apply:os.system [ls]", "os.system is not supported"),
    "--set of a key with an invisible letter": ("clusters.n_\u200bclusters=3", r"n_\\u200bclusters.*did you mean"),
}


def _nothing(own: Path) -> None:
    pass


def _holding(data: bytes) -> Callable[[Path], object]:
    return lambda own: (own / "config.yaml").write_bytes(data)


def _run(*values: str) -> tuple[str, ...]:
    return (*RUN, *(word for value in values for word in ("--set", value)))


for _name, (_content, _says) in TEXTS.items():
    _data = _content.encode() if isinstance(_content, str) else _content
    case(_name, GROUP, _says, exit_code=1)(_holding(_data))

for _name, (_value, _says) in VALUES.items():
    case(_name, GROUP, _says, exit_code=1, commands=(_run(_value),))(_nothing)


def _elsewhere(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return what takes the config away, and makes something else in its place."""

    def spoil(own: Path) -> None:
        (own / "config.yaml").unlink()
        make(own)

    return spoil


# What there is in the place of config.yaml, and what is said of it.
IN_PLACE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a config that is a folder": (
        lambda own: (own / "config.yaml").mkdir(),
        "config.yaml is a folder; `run` takes a config. Make one: imgcluster init config.yaml",
    ),
    "a config by nearly that name": (
        lambda own: (own / "confg.yaml").write_text(CONFIG),
        "config.yaml: no such file; did you mean confg.yaml",
    ),
    "a config that is a link to itself": (
        lambda own: (own / "config.yaml").symlink_to("config.yaml"),
        "config.yaml: cannot be read: Too many levels of symbolic links",
    ),
    "an endless device as config": (
        lambda own: (own / "config.yaml").symlink_to("/dev/zero"),
        "config.yaml: larger than 1 MB; is this a config",
    ),
}
for _name, (_make, _says) in IN_PLACE.items():
    case(_name, GROUP, _says, exit_code=1)(_elsewhere(_make))

# What --set gives that is odd, and good.
DONE: dict[str, tuple[str, ...]] = {
    "labels from 10^30 on": (f"outputs.label_offset={TEN_30}",),
    "labels from -10^30 on": (f"outputs.label_offset=-{TEN_30}",),
    "2 to a billion clusters": ("clusters.n_clusters=2..1000000000",),
    "an order that costs 10^308": ("clusters.order={smooth: 1.0e+308}",),
    "a parameter of 10^30": (f"clusters.parameters={{max_iter: {TEN_30}}}",),
    "names of clusters that there are not": ("outputs.names={0: a, 1: b, 2: c, 99: d}", "outputs.layout=names"),
    "a store in the run folder": ("features.store=out",),
    "a store among the images": ("features.store=pictures",),
}
for _name, _values in DONE.items():
    case(_name, GROUP, "12 computed, 0 from the store, 0 failed", commands=(_run(*_values),))(_nothing)


def _lists_twelve(folder: str) -> Callable[[Path], None]:
    def also(own: Path) -> None:
        with (own / folder / "clusters.csv").open(newline="", encoding="utf-8") as file:
            assert len(list(csv.DictReader(file))) == IMAGES

    return also


# Folders of the run, of which the images are one or hold it: its own pictures are not among those of the next run.
for _folder, _name in (("pictures", "an outputs.folder that is images.folder"), ("pictures/run", "one inside of it")):
    _again = _run(f"outputs.folder={_folder}", "outputs.report=true", "outputs.contact_sheets=true")
    _twice = case(_name, GROUP, "12", commands=(_again, _again, ("show", _folder)), also=_lists_twelve(_folder))
    _twice(_nothing)
