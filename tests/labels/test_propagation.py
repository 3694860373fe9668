"""`imgcluster spread` and `suggest`: labels read, spread over a graph worked out in full, asked for where they help."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

import imgcluster
from imgcluster.cli.format.labels import spread_lines, suggestions_lines
from imgcluster.cli.main import main
from imgcluster.config.loader import config_from_dict
from imgcluster.errors import ConfigError, StoreError
from imgcluster.labels.discriminant import refined_shares
from imgcluster.labels.propagation import ALPHA, spread_along, spread_over, spreading_graph
from imgcluster.labels.suggestions import most_in_doubt, suggest_images, typical_rows
from imgcluster.runs.partial_labels import read_partial_labels

SIZES = (14, 10, 6)  # images of the three groups, in this order
IDS = [f"{number:03d}" for number in range(sum(SIZES))]
GROUPS = np.repeat(np.arange(3), SIZES)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of 30 images in three obvious groups, with vectors from a file; no image is read."""
    own = tmp_path_factory.mktemp("finished")
    (own / "pictures").mkdir()
    (own / "ids.csv").write_text("id\n" + "".join(f"{id}\n" for id in IDS))
    vectors = np.random.default_rng(0).normal(0, 0.3, (len(IDS), 4)) + 4 * np.eye(3, 4)[GROUPS]
    np.savez(own / "vectors.npz", ids=np.array(IDS), vectors=vectors.astype(np.float32))
    images = {"folder": str(own / "pictures"), "ids": str(own / "ids.csv"), "missing": "skip"}
    config = {
        "images": images,
        "features": {"file": str(own / "vectors.npz")},
        "clusters": {"method": "kmeans", "n_clusters": 3, "numbering": "size"},
        "outputs": {"folder": str(own / "out"), "report": False},
    }
    return imgcluster.run(imgcluster.config_from_dict(config), show=False).folder


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# Labels of some images.


def test_blank_labels_are_not_known_yet(tmp_path: Path) -> None:
    path = written(tmp_path / "l.csv", 'name,label,cluster\n7,,1\n007,"a, ""b""\nc",2\nx,1,2\n8, ,1\n9,007,1\n')
    found = read_partial_labels(path, ["9", "8", "7", "007"])
    assert found.rows.tolist() == [0, 3]
    assert found.labels == ["007", 'a, "b"\nc']
    assert found.unknown == ["x"]


def test_ids_that_are_paths_are_matched_by_name(tmp_path: Path) -> None:
    found = read_partial_labels(written(tmp_path / "l.csv", "id,c\n1,a\n2,b\n3,c\n"), ["x/1.jpg", "y/2.png", "z/2.png"])
    assert (found.rows.tolist(), found.labels, found.unknown) == ([0], ["a"], ["2", "3"])


def test_labels_from_folders_and_with_endings_are_spread(finished: Path, tmp_path: Path) -> None:
    wanted = "abc"
    for row, id in enumerate(IDS[::5]):
        folder = tmp_path / "sorted" / wanted[GROUPS[5 * row]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{id}.jpg").write_bytes(b"no picture: it is never read")
    table = written(
        tmp_path / "l.csv", "id,label\n" + "".join(f"x/{id}.png,{wanted[GROUPS[int(id)]]}\n" for id in IDS[::5])
    )
    for labels in (tmp_path / "sorted", table):
        found = imgcluster.spread_labels(finished, labels)
        assert found.labels == [wanted[group] for group in GROUPS]
        assert int(found.given.sum()) == 6
        assert spread_lines(found)[0].startswith("note: matched 6 labels by name: 6 without folders and endings (")
        assert suggestions_lines(suggest_images(finished, 2, labels=labels))[0] == spread_lines(found)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,label\n001,\n002, \n", r"^labels: '.*l.csv' has 2 ids and no label; fill in some$"),
        (
            "id,label\nx,a\ny,b\n",
            r"^labels: none of the 2 labelled ids of '.*' is an image of the run \('x' there, '000'",
        ),
        ("id,label\n001,a\n002,b\n001,c\n", "l.csv row 3: id '001' stands already in row 1"),
        ("id,label\n001,a\n,b\n", "l.csv row 2: the id in column 'id' is empty"),
        ("id,label\n", "^labels: .* has a header and no rows"),
        ("", "^labels: .* is empty"),
        ("id;label\n001;a\n", "separates its columns by semicolons"),
        ("id,a,b\n001,a,b\n", "^labels: .*which column has the labels"),
        (
            "id,label\n001,a\n002,a\n",
            r"^labels: all 2 labelled images of '.*' are 'a'; label an image of another class",
        ),
        ("id,label\n001,a\nx,b\n", r"^labels: the only labelled image of '.*' is 'a'"),
    ],
)
def test_what_is_refused(finished: Path, tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path / "l.csv", text)
    with pytest.raises(ConfigError, match=message):
        imgcluster.spread_labels(finished, path)


# The method.


def two_groups() -> np.ndarray:
    """Seven points in two groups, and one far from all."""
    return np.array([[0, 0], [0, 1], [1, 0], [1, 1.2], [9, 9], [9, 8], [8, 9.1], [-60, 55]], np.float64)


def dense(points: np.ndarray) -> np.ndarray:
    """The scaled graph, each entry on its own: all are neighbours of all, in each of the three neighbourhoods."""
    centred = points - points.mean(axis=0)
    squared = ((centred[:, None] - centred) ** 2).sum(axis=2)
    ranks = np.argsort(np.argsort(squared + np.diag([-1.0] * len(points)), axis=1), axis=1)
    shares = np.mean([(ranks < size) for size in (5, len(points))], axis=0)
    one_way = np.maximum(1 - squared / 2 / (centred**2).sum(axis=1).mean(), 0) * shares
    weights = ((one_way + one_way.T) / 2) ** 4
    np.fill_diagonal(weights, 0)
    degrees = weights.sum(axis=1)
    scale = np.array([degree**-0.5 if degree > 0 else 0 for degree in degrees])
    return np.asarray(scale[:, None] * weights * scale)


def solved_shares(points: np.ndarray, graph: np.ndarray, rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The shares of two classes that solve the equations of spreading, refined."""
    start = LogisticRegression(C=100, max_iter=1000).fit(points[rows], numbers).predict_proba(points)
    start *= len(rows) / (len(points) - len(rows))
    start[rows] = np.eye(2)[numbers]
    solved = np.linalg.solve(np.eye(len(points)) - ALPHA * graph, start)
    solved /= solved.sum(axis=1, keepdims=True)
    solved[rows] = np.eye(2)[numbers]
    refined = refined_shares(points, solved.astype(np.float32), rows, numbers)
    refined[rows] = np.eye(2)[numbers]
    return refined


def test_the_graph_is_the_one_written_out() -> None:
    graph = spreading_graph(two_groups()).toarray()
    np.testing.assert_allclose(graph, dense(two_groups()), atol=1e-12)
    assert not graph[-1].any()  # nothing leads to the point far away


def test_spreading_solves_the_equations() -> None:
    graph, start = dense(two_groups()), np.eye(8)[:, [0, 4]]
    solved = (1 - ALPHA) * np.linalg.solve(np.eye(8) - ALPHA * graph, start)
    np.testing.assert_allclose(spread_along(sp.csr_matrix(graph), start, 500), solved, atol=1e-12)
    np.testing.assert_allclose(spread_along(sp.csr_matrix(graph), start), solved, atol=ALPHA**60)


def test_shares_are_those_of_labels_and_guesses() -> None:
    points, rows, numbers = two_groups()[:7] / 10, np.array([0, 3, 4]), np.array([1, 0, 0])
    solved = solved_shares(points, dense(points), rows, numbers)
    found = spread_over(points, spreading_graph(points), rows, numbers)
    assert found.best.tolist() == solved.argmax(axis=1).tolist() == [1, 1, 1, 0, 0, 0, 0]
    np.testing.assert_allclose(found.share, solved.max(axis=1), atol=0.002)
    np.testing.assert_allclose(found.second_share, solved.min(axis=1), atol=0.002)


def test_what_no_label_reaches_has_the_label_that_a_classifier_guesses() -> None:
    points = np.array([[0, 0], [0, 0.1], [5, 0], [5, 0.1], [-40, 0], [-40, 0.1], [60, 0]])
    links = np.kron(np.diag([1, 1, 1, 0]), 1 - np.eye(2))[:7, :7]
    rows, numbers = np.array([0, 2]), np.array([0, 1])
    found = spread_over(points, sp.csr_matrix(links), rows, numbers)
    assert found.best.tolist() == [0, 0, 1, 1, 0, 0, 1]
    np.testing.assert_allclose(found.share, solved_shares(points, links, rows, numbers).max(axis=1), atol=0.002)
    assert (found.share[[4, 5, 6]] > 0.99).all()


def test_copies_spread_as_one_image_and_keep_the_labels_given(tmp_path: Path) -> None:
    groups = np.repeat(np.eye(2, 6) * 3, 30, axis=0)
    distinct = (groups + np.random.default_rng(0).normal(0, 0.7, (60, 6))).astype(np.float32)
    counts = np.where(np.arange(60) % 6 == 0, 50, 1)
    place = np.repeat(np.arange(60), counts)
    ids, first = [f"i{row:03d}" for row in range(len(place))], np.flatnonzero(np.diff(place, prepend=-1))

    def spread(name: str, rows: np.ndarray, labels: dict[int, str]) -> imgcluster.PropagatedLabels:
        folder = tmp_path / name
        folder.mkdir()
        np.savez(folder / "features.npz", ids=[ids[row] for row in rows], vectors=distinct[place[rows]])
        (folder / "ids.csv").write_text("id\n" + "\n".join(ids[row] for row in rows) + "\n")
        sections = {
            "images": {"folder": str(folder), "ids": str(folder / "ids.csv"), "missing": "skip"},
            "features": {"file": str(folder / "features.npz")},
            "clusters": {"method": "kmeans", "n_clusters": 2},
            "outputs": {"folder": str(folder / "out"), "report": False},
        }
        imgcluster.run(config_from_dict(sections), show=False)
        known = "".join(f"{ids[row]},{label}\n" for row, label in labels.items())
        return imgcluster.spread_labels(folder / "out", written(folder / "l.csv", "id,label\n" + known))

    labels = {int(first[0]): "a", int(first[30]): "b"}
    alone, copied = spread("alone", first, labels), spread("copied", np.arange(len(place)), labels)
    assert copied.labels == [alone.labels[point] for point in place]
    np.testing.assert_allclose(copied.confidence, alone.confidence[place])
    disputed = spread("disputed", np.arange(len(place)), {**labels, int(first[0]) + 1: "b"})
    assert disputed.labels[:2] == ["a", "b"]
    assert disputed.confidence[:2].tolist() == [1, 1]
    assert len(set(disputed.labels[2:50])) == 1
    assert 0.4 < disputed.confidence[2] < 0.8
    asked = suggest_images(tmp_path / "copied/out", 300, labels=tmp_path / "copied/l.csv").ids
    assert len({place[ids.index(id)] for id in asked}) == len(asked) == 58


# The commands.


def test_all_images_get_labels(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = written(tmp_path / "l.csv", 'id,label\n001,007\n016,"b, c"\n025,7\nx,7\ny,\n002,007\n')
    assert main(["spread", str(finished), str(labels), "--out", str(tmp_path / "o.csv")]) == 0
    rows = rows_of(tmp_path / "o.csv")
    assert list(rows[0]) == ["id", "label", "confidence", "given", "cluster"]
    assert [row["id"] for row in rows] == IDS
    assert [row["label"] for row in rows] == [("007", "b, c", "7")[group] for group in GROUPS]
    assert [row["id"] for row in rows if row["given"] == "yes"] == ["001", "002", "016", "025"]
    assert {row["confidence"] for row in rows if row["given"] == "yes"} == {"1"}
    assert all(0.5 < float(row["confidence"]) < 1 for row in rows if row["given"] == "no")
    assert [row["cluster"] for row in rows] == [str(group) for group in GROUPS]
    assert capsys.readouterr().out.splitlines() == [
        "skipped   1 labelled id that the run does not have: 'x'",
        "images    30, 4 of them labelled, 3 classes",
        "      14  007 (2 given)",
        "      10  b, c (1 given)",
        "       6  7 (1 given)",
        "note: only one labelled image for 'b, c', '7'",
        "unsure    0 images (confidence below 0.5)",
        f"written   {tmp_path / 'o.csv'}",
    ]


def test_a_given_label_is_never_changed(finished: Path, tmp_path: Path) -> None:
    wrong = "".join(f"{id},{'b' if id == '005' else 'a'}\n" for id in IDS[:14])
    found = imgcluster.spread_labels(finished, written(tmp_path / "l.csv", f"id,label\n{wrong}015,b\n"))
    assert found.labels[:14] == ["a"] * 5 + ["b"] + ["a"] * 8
    assert found.confidence[found.given].tolist() == [1] * 15


def test_the_same_input_gives_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    labels = written(tmp_path / "l.csv", "id,label\n001,a\n016,b\n")
    for name in ("1.csv", "2.csv"):
        assert main(["spread", str(finished), str(labels), "--out", str(tmp_path / f"s{name}")]) == 0
        assert main(["suggest", str(finished), "--labels", str(labels), "--out", str(tmp_path / f"q{name}")]) == 0
    for kind in "sq":
        assert (tmp_path / f"{kind}1.csv").read_bytes() == (tmp_path / f"{kind}2.csv").read_bytes()


def test_typical_images_are_asked_for_first(finished: Path) -> None:
    table = rows_of(finished / "clusters.csv")
    nearest = [min((r for r in table if r["cluster"] == c), key=lambda r: float(r["distance"]))["id"] for c in "012"]
    found = suggest_images(finished, 5)
    assert found.ids[:3] == nearest
    assert found.why[0] == "typical of cluster 0 (14 images)"
    assert len(set(found.ids)) == 5
    assert imgcluster.suggest_images(finished, 2).ids == nearest[:2]
    assert sorted(suggest_images(finished, 99).ids) == IDS  # no more than there are


def test_the_largest_cluster_comes_first_and_noise_is_none() -> None:
    clusters, distances = np.array([5, 5, 2, 2, 2, -1, -1, -1, -1]), np.array([3, 2, 3, 1, 2.0, *[np.inf] * 4])
    assert typical_rows(clusters, distances, np.array([], np.int64)) == [3, 1]
    assert typical_rows(clusters, distances, np.array([4])) == [1]


def test_clusters_without_a_label_then_what_is_in_doubt(finished: Path, tmp_path: Path) -> None:
    labels = written(tmp_path / "l.csv", "id,label\n001,a\n002,a\n016,b\n")
    found = suggest_images(finished, 4, labels=labels)
    assert found.why[0] == "typical of cluster 2 (6 images), which has no label"
    assert found.clusters[0] == 2
    assert all(why in {"in doubt: a or b", "in doubt: b or a"} for why in found.why[1:])
    everything = suggest_images(finished, 99, labels=labels).ids
    assert sorted(everything) == sorted(set(IDS) - {"001", "002", "016"})


def test_labels_of_one_class_are_enough_to_ask_for_more(finished: Path, tmp_path: Path) -> None:
    found = suggest_images(finished, 4, labels=written(tmp_path / "l.csv", "id,label\n001,a\nx,b\n"))
    assert found.clusters[:2] == [1, 2]
    assert found.unknown == ["x"]
    assert "001" not in found.ids


def test_no_two_copies_are_asked_for() -> None:
    points = np.random.default_rng(1).normal(size=(40, 6))
    points[:4] = points[0]
    nothing = np.array([], np.int64)
    found = most_in_doubt(spreading_graph(points), np.ones(40), nothing, nothing, 25)
    assert sum(row < 4 for row in found) == 1


def test_what_was_asked_for_partly_filled_in_works_as_it_is(finished: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked.csv"
    assert main(["suggest", str(finished), "-n", "5", "--out", str(asked)]) == 0
    rows = rows_of(asked)
    assert list(rows[0]) == ["id", "label", "path", "cluster", "why"]
    assert {row["label"] for row in rows} == {""}
    for row in rows[:3]:
        row["label"] = f"group {GROUPS[IDS.index(row['id'])]}"
    with asked.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = imgcluster.spread_labels(finished, asked)
    assert found.labels == [f"group {group}" for group in GROUPS]
    assert int(found.given.sum()) == 3
    assert not {row["id"] for row in rows[:3]} & set(suggest_images(finished, 4, labels=asked).ids)


def test_errors_are_one_line(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, labels = tmp_path / "o.csv", written(tmp_path / "l.csv", "id,label\n001,a\n")
    for arguments, message in (
        (["spread", str(finished), str(labels)], "labels: the only labelled image of"),
        (["spread", str(finished), str(tmp_path / "none.csv")], "none.csv' cannot be read: No such file"),
        (["spread", str(tmp_path), str(labels)], "is not a run folder"),
        (["suggest", str(finished), "-n", "0"], "--count: 0; allowed: whole numbers >= 1"),
    ):
        assert main([*arguments, "--out", str(out)]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not out.exists()


def test_a_table_that_is_there_is_left_alone(finished: Path, tmp_path: Path) -> None:
    out = written(tmp_path / "o.csv", "mine")
    assert main(["suggest", str(finished), "--out", str(out)]) == 1
    assert out.read_text() == "mine"
    assert main(["suggest", str(finished), "--out", str(out), "--force"]) == 0
    assert out.read_text().startswith("id,label,path,cluster,why\n")


def test_features_that_are_gone(tmp_path: Path, config_file: Path) -> None:
    imgcluster.run(imgcluster.load_config(config_file), show=False)
    labels = written(tmp_path / "l.csv", "id,label\n0000,red\n0001,green\n0002,blue\n")
    assert imgcluster.spread_labels(tmp_path / "out", labels).labels == ["red", "green", "blue"] * 4
    shutil.rmtree(tmp_path / "store")
    for call in (lambda: imgcluster.spread_labels(tmp_path / "out", labels), lambda: suggest_images(tmp_path / "out")):
        with pytest.raises(StoreError, match=r"run the config of .* again"):
            call()
