from .cluster_names import known_names, names_note, recorded_names, unnamed_note, with_name
from .clusterer import read_clusterer
from .cut import CutRun, cut_run
from .features import (
    FeatureTable,
    check_out,
    content_of_result,
    export_features,
    features_of_run,
    find_features,
    labels_of_run,
    loader,
    vectors_of_rows,
    write_features,
)
from .finished import FinishedRun, read_run
from .folder import RunFolder
from .folder_export.export import ExportedFolders, UndoneExport, export_folders, undo_export
from .folder_export.moves import move_images, moved_before, source_of
from .folder_export.parts import fixed_because
from .folder_export.plan import folder_names
from .images_table import ImageScores, write_images_table
from .known_classes import check_known_classes
from .label_columns import IN_COLUMNS, wide_labels
from .listed import config_of, listed_images, listed_paths
from .new_images import features_of_new, given_images
from .overview import Group, Overview, report_page, run_overview
from .overwriting import check_overwrites_no_run
from .partial_labels import PartialLabels, read_partial_labels
from .places import Places, images_are_in
from .reader import read_record, read_report_record
from .remote import fetched
from .run import RunResult
from .submission import check_outputs, submission_notes
from .tables import csv_text
from .template_check import NO_LABELS, WIDE
from .validation import validate_submission, validated
from .writer import (
    DISTANCE_FORMAT,
    NAME,
    PROBABILITY,
    cluster_cells,
    output_names,
    path_text,
    probability_cell,
    write_outputs,
)

__all__ = [
    "DISTANCE_FORMAT",
    "IN_COLUMNS",
    "NAME",
    "NO_LABELS",
    "PROBABILITY",
    "WIDE",
    "CutRun",
    "ExportedFolders",
    "FeatureTable",
    "FinishedRun",
    "Group",
    "ImageScores",
    "Overview",
    "PartialLabels",
    "Places",
    "RunFolder",
    "RunResult",
    "UndoneExport",
    "check_known_classes",
    "check_out",
    "check_outputs",
    "check_overwrites_no_run",
    "cluster_cells",
    "config_of",
    "content_of_result",
    "csv_text",
    "cut_run",
    "export_features",
    "export_folders",
    "features_of_new",
    "features_of_run",
    "fetched",
    "find_features",
    "fixed_because",
    "folder_names",
    "given_images",
    "images_are_in",
    "known_names",
    "labels_of_run",
    "listed_images",
    "listed_paths",
    "loader",
    "move_images",
    "moved_before",
    "names_note",
    "output_names",
    "path_text",
    "probability_cell",
    "read_clusterer",
    "read_partial_labels",
    "read_record",
    "read_report_record",
    "read_run",
    "recorded_names",
    "report_page",
    "run_overview",
    "source_of",
    "submission_notes",
    "undo_export",
    "unnamed_note",
    "validate_submission",
    "validated",
    "vectors_of_rows",
    "wide_labels",
    "with_name",
    "write_features",
    "write_images_table",
    "write_outputs",
]
