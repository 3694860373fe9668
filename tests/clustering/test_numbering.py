"""Numbers of clusters: by size, by appearance, as in another run, as in labels known of some images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import imgcluster
from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.fitted import Clusterer
from imgcluster.clustering.numbering import check_numbering, match_labels, number_classes, number_clusters
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ConfigError
from imgcluster.features.result import Features
from imgcluster.types import ImageFile

LABELS = np.array([2, 2, 0, 0, 0, 1])
IDS = ["a", "b", "c", "d", "e", "f"]


def numbered(labels: np.ndarray, numbering: str, ids: list[str] | None = None, k: int = 3) -> list[int]:
    numbers = number_clusters(labels, k, numbering, IDS if ids is None else ids).numbers
    return [int(numbers[label]) for label in labels if label >= 0]


def write_run(folder: Path, rows: list[tuple[str, str]]) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [f"{id},{id}.jpg,{cluster},1,,,ok," for id, cluster in rows]
    header = "id,path,cluster,distance,runner_up,runner_up_distance,status,error"
    (folder / "clusters.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder


def test_plain_numberings() -> None:
    assert numbered(LABELS, "raw") == [2, 2, 0, 0, 0, 1]
    assert numbered(LABELS, "size") == [1, 1, 0, 0, 0, 2]
    assert numbered(LABELS, "first_appearance") == [0, 0, 1, 1, 1, 2]
    assert numbered(np.array([-1, 1, 1, 0]), "first_appearance", k=2) == [0, 0, 1]


def test_a_run_before_gives_its_numbers(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [("a", "1"), ("b", "1"), ("c", "0"), ("d", "0"), ("f", "2"), ("gone", "2")])
    assert numbered(LABELS, f"match:{run}") == [1, 1, 0, 0, 0, 2]


def test_the_most_images_together_keep_their_number(tmp_path: Path) -> None:
    """Cluster 0 shares more with the old 5 than cluster 2 does, and yet all keep most when it takes the old 4."""
    labels = np.array([0] * 5 + [1] * 3)
    ids = [str(number) for number in range(8)]
    run = write_run(tmp_path / "run", list(zip(ids, ["5", "5", "5", "4", "4", "5", "5", "5"], strict=True)))
    assert numbered(labels, f"match:{run}", ids, k=2) == [4] * 5 + [5] * 3


def test_what_is_new_takes_a_number_that_was_not_used(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [("c", "0"), ("gone", "1"), ("d", "0"), ("x", "2")])
    assert numbered(LABELS, f"match:{run}") == [4, 4, 0, 0, 0, 3]


def test_failed_images_and_noise_of_a_run_say_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [("a", ""), ("b", "-1"), ("c", "7"), ("f", "3")])
    assert numbered(LABELS, f"match:{run}") == [0, 0, 7, 7, 7, 3]


def test_images_that_are_noise_now_have_no_say(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [("a", "7"), ("b", "7"), ("c", "7"), ("d", "7"), ("e", "3")])
    assert numbered(np.array([-1, -1, -1, 0, 1]), f"match:{run}", IDS[:5], k=2) == [7, 3]


def test_a_cluster_of_new_images_takes_no_number_of_the_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [("a", "0"), ("b", "0"), ("c", "0"), ("d", "1")])
    assert numbered(np.array([0, 0, 0, 0, 1, 1]), f"match:{run}", k=2) == [0, 0, 0, 0, 2, 2]


@pytest.mark.parametrize(
    ("words", "names"), [(("1", "0", "2"), {}), (("sky", "land", "sea"), {0: "land", 1: "sea", 2: "sky"})]
)
def test_some_known_labels_fix_the_numbers(tmp_path: Path, words: tuple[str, ...], names: dict[int, str]) -> None:
    truth = tmp_path / "some.csv"
    truth.write_text("id,label\n" + "".join(f"{id},{word}\n" for id, word in zip("acf", words, strict=True)))
    found = number_clusters(LABELS, 3, f"truth:{truth}", IDS)
    assert found.names == names
    wanted = [1, 1, 0, 0, 0, 2] if not names else [2, 2, 0, 0, 0, 1]
    assert [int(found.numbers[label]) for label in LABELS] == wanted


def test_known_labels_may_be_a_table_of_suggestions_partly_filled_in(tmp_path: Path) -> None:
    truth = tmp_path / "suggested.csv"
    truth.write_text("id,label,path,cluster,why\na,1,a.jpg,5,x\nb,,b.jpg,5,x\nc,0,c.jpg,6,x\nd, ,d.jpg,6,x\nf,2,,7,x\n")
    assert numbered(LABELS, f"truth:{truth}") == [1, 1, 0, 0, 0, 2]


def test_blanks_around_known_labels_are_not_part_of_them(tmp_path: Path) -> None:
    truth = tmp_path / "some.csv"
    truth.write_text("id,label\na,cat \nb,cat\nc, dog\nf,emu\n")
    assert number_clusters(LABELS, 3, f"truth:{truth}", IDS).names == {0: "cat", 1: "dog", 2: "emu"}
    truth.write_text("id,label\na, 1\nb,1\nc,0 \nf,2\n")
    assert number_clusters(LABELS, 3, f"truth:{truth}", IDS).names == {}


def test_known_labels_have_endings_or_are_folders(tmp_path: Path) -> None:
    truth = tmp_path / "some.csv"
    truth.write_text("id,label\na.jpg,1\nc.jpg,0\nf.jpg,2\nx.jpg,2\n")
    found = number_clusters(LABELS, 3, f"truth:{truth}", IDS)
    assert [int(found.numbers[label]) for label in LABELS] == [1, 1, 0, 0, 0, 2]
    assert found.notes == [
        "matched 3 known labels by name: 3 without endings ('a.jpg' is image 'a'); 1 known labels and 3 images left "
        "over"
    ]
    for label, names in {"sky": "ab", "land": "cd", "sea": "f"}.items():
        (tmp_path / "sorted" / label).mkdir(parents=True)
        for name in names:
            (tmp_path / "sorted" / label / f"{name}.png").write_bytes(b"")
    found = number_clusters(LABELS, 3, f"truth:{tmp_path / 'sorted'}", IDS)
    assert found.names == {0: "land", 1: "sea", 2: "sky"}
    assert [int(found.numbers[label]) for label in LABELS] == [2, 2, 0, 0, 0, 1]


@pytest.mark.parametrize(("words", "named"), [(("7", "3", "3", "5"), "'5'"), (("c", "a", "a", "b"), "'b'")])
def test_known_labels_without_a_cluster_are_noted(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    truth = tmp_path / "some.csv"
    truth.write_text("id,label\n" + "".join(f"{id},{word}\n" for id, word in zip("acde", words, strict=True)))
    two = np.array([1, 1, 0, 0, 0, 1])
    note = f"1 of 3 known labels have no cluster, so no image gets them: {named}"
    assert note in number_clusters(two, 2, f"truth:{truth}", IDS).notes
    assert not any("have no cluster" in note for note in number_clusters(LABELS, 3, f"truth:{truth}", IDS).notes)


def test_known_labels_of_no_image_are_noted_in_the_run(tmp_path: Path) -> None:
    truth = tmp_path / "some.csv"
    truth.write_text("id,label\na,1\nc,0\nx,2\n")
    images = [ImageFile(id, Path(id)) for id in "abcd"]
    vectors = np.array([[0, 0], [0, 1], [9, 9], [9, 8]], np.float32)
    config = ClustersConfig(method="kmeans", n_clusters=2, numbering=f"truth:{truth}")
    found = cluster_features(Features(images, vectors, [], []), config, show=False)
    assert "1 known labels match no image: 'x'" in found.notes


def test_a_known_label_that_no_cluster_matches_is_taken_by_one_that_is_left(tmp_path: Path) -> None:
    truth = tmp_path / "some.csv"
    truth.write_text("id,label\na,2\nb,2\nc,0\nd,1\n")
    assert numbered(LABELS, f"truth:{truth}") == [2, 2, 0, 0, 0, 1]


def test_clusters_that_match_no_known_label_take_what_is_left_and_then_labels_that_there_can_be(tmp_path: Path) -> None:
    truth = tmp_path / "some.csv"
    truth.write_text("id,label\na,2\nc,1\n")
    found = number_clusters(LABELS, 3, f"truth:{truth}", IDS, first=1)
    assert [int(found.numbers[label]) for label in LABELS] == [2, 2, 1, 1, 1, 3]  # from 0 on it would be 0
    assert found.are_labels
    assert found.notes == [f"1 of 3 clusters match no label of {truth}; their numbers are guesses: 3"]
    truth.write_text("id,label\na,20\nc,10\nd,30\n")
    found = number_clusters(LABELS, 3, f"truth:{truth}", IDS)
    assert [int(found.numbers[label]) for label in LABELS] == [20, 20, 10, 10, 10, 30]  # a label that is left
    truth.write_text("id,label\na,20\nc,10\nf,30\n")
    assert number_clusters(LABELS, 3, f"truth:{truth}", IDS).notes == []


def test_known_labels_begin_where_the_config_says(tmp_path: Path) -> None:
    truth = tmp_path / "some.csv"
    truth.write_text("id,label\na,0\nc,1\n")
    check_numbering(f"truth:{truth}")
    with pytest.raises(
        ConfigError, match=r"^clusters.numbering: .* has the label 0, but by outputs.label_offset .* at 1"
    ):
        check_numbering(f"truth:{truth}", 1)
    truth.write_text("id,label\na,cat\nc,dog\n")
    check_numbering(f"truth:{truth}", 1)  # words are counted
    run = write_run(tmp_path / "run", [("a", "0")])
    check_numbering(f"match:{run}", 1)


@pytest.mark.parametrize(
    ("record", "are_labels"),
    [
        ('{"numbers_are_labels": true, "config": {}}', True),
        ('{"numbers_are_labels": false, "config": {"clusters": {"numbering": "truth:x"}}}', False),
        ('{"config": {"clusters": {"numbering": "truth:x"}}}', True),  # of a run before the key was there
        ('{"config": {"clusters": {"numbering": "size"}}}', False),
        ("[]", False),
        ("{", False),
        (None, False),
    ],
)
def test_the_numbers_of_a_run_are_labels_where_its_own_are(
    tmp_path: Path, record: str | None, are_labels: bool
) -> None:
    run = write_run(tmp_path / "run", [("a", "1"), ("c", "2")])
    if record is not None:
        (run / "run.json").write_text(record)
    for path in (run, run / "clusters.csv"):
        found = number_clusters(LABELS, 3, f"match:{path}", IDS, first=1)
        assert found.are_labels == are_labels
        assert [int(found.numbers[label]) for label in LABELS] == [1, 1, 2, 2, 2, 3 if are_labels else 0]
        assert found.notes == []


def test_classes_that_are_numbers_are_labels() -> None:
    assert number_classes(["1", "3"], np.array([0, 1]), 2).are_labels
    assert not number_classes(["one", "3"], np.array([0, 1]), 2).are_labels
    assert not number_clusters(LABELS, 3, "size", IDS).are_labels


def test_known_labels_with_a_point_and_a_zero_are_whole_numbers(tmp_path: Path) -> None:
    truth = tmp_path / "some.csv"
    truth.write_text("id,label\na,9.0\nc,10.0\nf,11.0\n")
    found = number_clusters(LABELS, 3, f"truth:{truth}", IDS)
    assert [int(found.numbers[label]) for label in LABELS] == [9, 9, 10, 10, 10, 11]
    assert (found.names, found.are_labels) == ({}, True)
    truth.write_text("id,cluster\na,1.0\nb,-1.0\nc,0.0\nf,2.0\n")
    assert numbered(LABELS, f"match:{truth}") == [1, 1, 0, 0, 0, 2]
    truth.write_text("id,label\na,9.0\nc,9.5\nf,11.0\n")
    assert number_clusters(LABELS, 3, f"truth:{truth}", IDS).names == {0: "11.0", 1: "9.0", 2: "9.5"}


def test_classes_with_a_point_and_a_zero_are_whole_numbers() -> None:
    found = number_classes(["10.0", "9.0"], np.array([0, 1]), 2)
    assert (found.numbers.tolist(), found.names, found.are_labels) == ([10, 9], {10: "10", 9: "9"}, True)
    assert not number_classes(["9", "9.0"], np.array([0, 1]), 2).are_labels  # two classes, of an older model


@pytest.mark.parametrize("label", ["100000000", "99999999999999999999"])
def test_labels_too_large_for_numbers_are_names(tmp_path: Path, label: str) -> None:
    truth = tmp_path / "some.csv"
    truth.write_text(f"id,label\na,{label}\nc,1\n")
    found = number_clusters(LABELS, 3, f"truth:{truth}", IDS)
    assert found.numbers.max() <= 2
    assert label in found.names.values()


def test_clusters_keep_their_numbers_when_images_are_added(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    centres = random.normal(0, 9, (5, 12))

    def features(count: int) -> Features:
        which = np.arange(count) % 5
        vectors = (centres[which] + np.random.default_rng(1).normal(0, 1, (count, 12))).astype(np.float32)
        images = [ImageFile(f"{number}", Path(f"{number}.jpg")) for number in range(count)]
        return Features(images, vectors, [], [])

    before = cluster_features(features(100), ClustersConfig(method="kmeans", n_clusters=5, random_state=1), show=False)
    run = write_run(tmp_path / "run", [(str(row), str(label)) for row, label in enumerate(before.labels)])
    for seed in range(2, 6):
        config = ClustersConfig(method="kmeans", n_clusters=5, random_state=seed, numbering=f"match:{run}")
        after = cluster_features(features(110), config, show=False)
        np.testing.assert_array_equal(after.labels[:100], before.labels)
        assert after.sizes.sum() == 110
        np.testing.assert_allclose(after.state["centroids"], before.state["centroids"], atol=1.5)


def test_a_cluster_that_is_gone_leaves_its_number_free(tmp_path: Path) -> None:
    images = [ImageFile(id, Path(id)) for id in "abcd"]
    vectors = np.array([[0, 0], [0, 1], [9, 9], [9, 8]], np.float32)
    run = write_run(tmp_path / "run", [("a", "0"), ("b", "0"), ("x", "1"), ("c", "2"), ("d", "2")])
    config = ClustersConfig(method="kmeans", n_clusters=2, numbering=f"match:{run}")
    found = cluster_features(Features(images, vectors, [], []), config, soft=True, show=False)
    assert (found.labels.tolist(), found.sizes.tolist()) == ([0, 0, 2, 2], [2, 0, 2])
    assert found.runner_up.tolist() == [2, 2, 0, 0]
    assert np.isnan(found.state["centroids"][1]).all()
    assert found.probabilities is not None
    assert found.probabilities.argmax(axis=1).tolist() == [0, 0, 2, 2]
    placed = Clusterer(found.state).place(vectors)
    assert (placed.labels.tolist(), placed.runner_up.tolist()) == ([0, 0, 2, 2], [2, 2, 0, 0])
    assert not placed.new.any()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("id,cluster\nx,1\n", "has none of these images"),
        ("id,cluster\na,1\na,2\n", "id 'a' stands already in row 1"),
        ("id,x,y\na,1,2\n", "which column has the labels? (its columns: 'id', 'x', 'y')"),
    ],
)
def test_what_names_no_numbers_is_told(tmp_path: Path, content: str | None, words: str) -> None:
    truth = tmp_path / "truth.csv"
    if content is not None:
        truth.write_text(content)
    with pytest.raises(ConfigError) as caught:
        number_clusters(LABELS, 3, f"truth:{truth}", IDS)
    assert str(caught.value).startswith("clusters.numbering: ")
    assert words in str(caught.value)


def test_vectors_alone_have_no_ids() -> None:
    config = ClustersConfig(method="kmeans", n_clusters=2, numbering="match:outputs/x")
    with pytest.raises(ConfigError, match="needs the ids of the images"):
        cluster_features(np.eye(4, dtype=np.float32), config, show=False)


def test_names_that_are_on_other_images_than_before_are_noted(tmp_path: Path) -> None:
    """Two images more make the second cluster the largest: the numbers turn round, and names go with numbers."""

    def notes_of(sizes: tuple[int, int], numbering: str = "size") -> list[str]:
        ids = [f"{group}{number}" for group, size in enumerate(sizes) for number in range(size)]
        groups = np.repeat([0, 1], sizes)
        np.savez(tmp_path / "v.npz", ids=np.array(ids), vectors=(9 * np.eye(2)[groups]).astype(np.float32))
        (tmp_path / "ids.csv").write_text("id\n" + "".join(f"{id}\n" for id in ids))
        config = {
            "images": {"folder": str(tmp_path), "ids": str(tmp_path / "ids.csv"), "missing": "skip"},
            "features": {"file": str(tmp_path / "v.npz")},
            "clusters": {"method": "kmeans", "n_clusters": 2, "numbering": numbering},
            "outputs": {"folder": str(tmp_path / "out"), "report": False, "names": {0: "cup", 1: "rocket"}},
        }
        run = imgcluster.run(imgcluster.config_from_dict(config), force=True, show=False)
        recorded = json.loads((tmp_path / "out" / "run.json").read_text())["notes"]
        assert set(run.notes) <= set(recorded)
        return [note for note in run.notes if note.startswith("outputs.names")]

    assert notes_of((4, 3)) == []
    assert notes_of((4, 3)) == []
    (note,) = notes_of((4, 5))
    assert (
        "since the run before: cluster 0 (cup) was 1, 1 (rocket) was 0; correct the names, and to keep them set" in note
    )
    shutil.copytree(tmp_path / "out", tmp_path / "kept")
    assert notes_of((6, 5), f"match:{tmp_path / 'kept'}") == []


def test_a_run_of_noise_alone_has_no_say_and_noise_alone_is_no_error(tmp_path: Path) -> None:
    noise = write_run(tmp_path / "noise", [("a", "-1"), ("b", "-1")])
    assert numbered(np.array([1, 1, 0]), f"match:{noise}", ["a", "b", "c"], k=2) == [1, 1, 0]
    run = write_run(tmp_path / "run", [("a", "0"), ("b", "1")])
    found = number_clusters(np.array([-1, -1]), 0, f"match:{run}", ["a", "b"])
    assert found.numbers.tolist() == []


def test_matching_looks_at_all_clusters_together() -> None:
    # The largest count first would take 9, and leave 0 for the other: 9 in all, where 8 + 8 are to be had.
    assert match_labels(np.array([[9, 8], [8, 0]])).tolist() == [1, 0]
    assert match_labels(np.array([[3], [0], [2]])).tolist() == [0, -1, -1]
    assert match_labels(np.array([[5, 0], [0, 0]])).tolist() == [0, -1]


@pytest.mark.parametrize("seed", range(50))
def test_matching_is_scipys(seed: int) -> None:
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 6, generator.integers(1, 6, 2))
    rows, columns = linear_sum_assignment(counts, maximize=True)
    wanted = {row: column for row, column in zip(rows, columns, strict=True) if counts[row, column]}
    assert match_labels(counts).tolist() == [wanted.get(row, -1) for row in range(len(counts))]
