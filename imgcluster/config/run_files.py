"""File names of a run folder, for the packages that write or recognise one."""

from __future__ import annotations


class RunFiles:
    """Names of files and folders in a run folder."""

    RECORD = "run.json"
    CLUSTERS = "clusters.csv"
    IMAGES = "images.csv"  # with outputs.images: parquet the next one instead
    IMAGES_PARQUET = "images.parquet"
    CLUSTERER = "clusterer.npz"
    HIERARCHY = "hierarchy.json"  # of a run with a hierarchy around its clusters
    SEGMENTS = "segments.csv"  # of a run with images.video
    SUBMISSION = "submission.csv"  # unless outputs.submission names another
    LOCK = ".lock"  # one in the run folder, one in its report
    REPORT = "report"
    PAGE = "index.html"  # this and the next five lie in REPORT
    REPORT_RECORD = "report.json"
    REPORT_GEOMETRY = "geometry.bin"
    REPORT_CONFIG = "config.yaml"  # repeats the run
    EXPLANATIONS = "explain"
    EXPLANATIONS_LIST = "explain.json"
    SHEETS = "clusters"
    SHEETS_LIST = ".sheets"  # in SHEETS
    SWEEP = "sweep"
    SWEEP_TABLE = "sweep.csv"  # this and the next one lie in SWEEP
    SWEEP_CHART = "sweep.svg"
