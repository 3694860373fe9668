from .cluster_names import known_names, names_note, recorded_names, with_name
from .features import FeatureTable, check_out, export_features, features_of_run, labels_of_run, loader, write_features
from .folder import RunFolder
from .folder_export.export import ExportedFolders, UndoneExport, export_folders, undo_export
from .folder_export.plan import folder_names
from .known_classes import check_known_classes
from .label_columns import wide_labels
from .overview import Group, Overview, report_page, run_overview
from .places import Places, images_are_in, places_of
from .reader import (
    EXPLAINED,
    EXPLANATIONS,
    PAGE,
    REPORT,
    REPORT_LOCK,
    REPORT_RECORD,
    clusters_digest,
    config_of,
    listed_images,
    listed_paths,
    read_record,
    read_report_record,
    read_rows,
)
from .remote import RECORD, fetched
from .run import Run
from .submission import IN_COLUMNS, check_outputs, submission_notes
from .template_check import NO_LABELS, WIDE, listed
from .validation import validate_submission, validated
from .writer import CLUSTERS, DISTANCE_FORMAT, NAME, csv_text, output_names, path_text, write_outputs

__all__ = [
    "CLUSTERS",
    "DISTANCE_FORMAT",
    "EXPLAINED",
    "EXPLANATIONS",
    "IN_COLUMNS",
    "NAME",
    "NO_LABELS",
    "PAGE",
    "RECORD",
    "REPORT",
    "REPORT_LOCK",
    "REPORT_RECORD",
    "WIDE",
    "ExportedFolders",
    "FeatureTable",
    "Group",
    "Overview",
    "Places",
    "Run",
    "RunFolder",
    "UndoneExport",
    "check_known_classes",
    "check_out",
    "check_outputs",
    "clusters_digest",
    "config_of",
    "csv_text",
    "export_features",
    "export_folders",
    "features_of_run",
    "fetched",
    "folder_names",
    "images_are_in",
    "known_names",
    "labels_of_run",
    "listed",
    "listed_images",
    "listed_paths",
    "loader",
    "names_note",
    "output_names",
    "path_text",
    "places_of",
    "read_record",
    "read_report_record",
    "read_rows",
    "recorded_names",
    "report_page",
    "run_overview",
    "submission_notes",
    "undo_export",
    "validate_submission",
    "validated",
    "wide_labels",
    "with_name",
    "write_features",
    "write_outputs",
]
