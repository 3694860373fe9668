"""README's promises, and the tests that hold each of them: none is without, and none of these is gone."""

from __future__ import annotations

import ast
import re

from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROMISES: dict[str, tuple[str, ...]] = {
    "No bad file stops a run.": (
        "integration/test_bad_input.py::test_it",
        "cli/commands/test_run.py::test_a_hostile_folder_is_clustered_with_every_file_accounted_for",
        "integration/test_fuzz.py::test_damaged_images_are_read_or_refused",
        "runs/test_writer.py::test_a_failed_image_keeps_its_row",
    ),
    "Interrupted runs resume.": (
        "integration/test_kills.py::test_the_same_command_makes_it_good",
        "cli/commands/test_run.py::test_killed_runs_go_on_to_the_undisturbed_bytes",
        "features/engines/dask/test_faults.py::test_the_driver_killed",
    ),
    "The same images and config give the same bytes,": (
        "runs/test_writer.py::test_the_same_config_writes_the_same_bytes_again",
        "backbones/runtimes/test_int8.py::test_batch_size_does_not_change_a_bit",
        "backbones/runtimes/test_openvino.py::test_batch_size_does_not_change_a_bit",
        "backbones/runtimes/test_same_bits.py::test_openvino_computes_one_by_one_what_depends_on_the_batch",
        "backbones/runtimes/test_same_bits.py::test_torch_computes_one_by_one_what_depends_on_its_place",
        "features/engines/test_multiprocess.py::test_the_bytes_are_those_of_one_device",
        "features/engines/dask/test_extraction.py::test_same_bytes_as_one_machine_with_no_other_change",
    ),
    "Nothing that is read is executed:": (
        "integration/test_nothing_runs.py::test_no_source_runs_what_it_reads",
        "integration/test_nothing_leaves.py::test_nothing_is_unpickled_and_no_program_is_started",
    ),
    "No data leaves the machine.": ("integration/test_nothing_leaves.py::test_no_connection_is_made",),
    "Files are written to few places:": (
        "integration/test_nothing_leaves.py::test_nothing_is_written_elsewhere",
        "integration/test_nothing_leaves.py::test_there_is_nothing_else_afterwards",
    ),
    "Images are only read.": (
        "integration/test_nothing_leaves.py::test_images_are_as_they_were",
        "runs/folder_export/test_export.py::test_killed_at_a_random_moment_all_comes_back",
        "cli/commands/test_duplicates.py::test_from_the_plan_to_the_undo",
    ),
    "A fallback is never silent.": ("cli/commands/test_run.py::test_the_fallback_cannot_be_overlooked",),
    "An error is one line:": (
        "integration/test_bad_input.py::test_it",
        "cli/test_main.py::test_a_wrong_command_line_exits_with_2",
        "cli/test_interrupts.py::test_ctrl_c_ends_at_once_and_says_how_to_go_on",
    ),
    "Two runs never write to the same place.": (
        "integration/test_two_at_once.py::test_the_second_on_a_store_is_refused_and_the_first_goes_on",
        "integration/test_two_at_once.py::test_the_second_in_a_run_folder_is_refused",
        "integration/test_two_at_once.py::test_a_lock_whose_holder_was_killed_holds_nobody_up",
    ),
    "A report shows text as text,": (
        "report/test_page.py::test_what_comes_from_outside_is_text",
        "integration/test_nothing_runs.py::test_pages_escape_what_they_show",
        "report/test_thumbnails.py::test_thumbnails_have_nothing_of_the_originals_metadata",
    ),
    "A submission has its template's shape,": (
        "runs/test_writer.py::test_submission_has_the_templates_shape",
        "runs/test_submission.py::test_a_wrong_submission_is_never_written",
    ),
}


def names_in(module: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / module).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_readme_promises_these() -> None:
    section = README.partition("\n## What we promise\n")[2].partition("\n## ")[0]
    assert re.findall(r"^- \*\*(.+?)\*\*", section, flags=re.M) == [*PROMISES]


def test_each_is_held_by_tests_that_there_are() -> None:
    for promise, names in PROMISES.items():
        for name in names:
            module, _, test = name.partition("::")
            assert test in names_in(module), (promise, name)
