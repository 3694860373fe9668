from ._version import __version__ as __version__
from .backbones import FeatureExtractor, PerceptualLoss, image_distances
from .clustering import cluster_features
from .config import (
    ClustersConfig,
    Config,
    FeaturesConfig,
    ImagesConfig,
    OutputsConfig,
    config_from_dict,
    load_config,
)
from .curation import (
    apply_plan,
    choose_subset,
    find_duplicates,
    find_label_errors,
    find_leaks,
    find_like,
    quality_of_run,
)
from .datasets import write_sample
from .errors import ImgclusterError
from .evaluation import Grid, compare, score_labels, score_run, stability
from .explain import activation_grid, cluster_map, explain_run, filter_images, grad_cam, overlay
from .features import Features, ImageFeatures, extract, extract_features, read_features
from .images import list_images, read_image
from .labels import PropagatedLabels, Spread, Suggestions, assign, learn, predict, spread_labels, suggest_images
from .learning import Learned, Training
from .pipeline import Run, check, run, sweep_clusters
from .report import write_report, write_sheets
from .runs import (
    export_features,
    export_folders,
    images_are_in,
    run_overview,
    undo_export,
    validate_submission,
)
from .types import Clusters, ImageFile

__all__ = [
    "Clusters",
    "ClustersConfig",
    "Config",
    "FeatureExtractor",
    "Features",
    "FeaturesConfig",
    "Grid",
    "ImageFeatures",
    "ImageFile",
    "ImagesConfig",
    "ImgclusterError",
    "Learned",
    "OutputsConfig",
    "PerceptualLoss",
    "PropagatedLabels",
    "Run",
    "Spread",
    "Suggestions",
    "Training",
    "activation_grid",
    "apply_plan",
    "assign",
    "check",
    "choose_subset",
    "cluster_features",
    "cluster_map",
    "compare",
    "config_from_dict",
    "explain_run",
    "export_features",
    "export_folders",
    "extract",
    "extract_features",
    "filter_images",
    "find_duplicates",
    "find_label_errors",
    "find_leaks",
    "find_like",
    "grad_cam",
    "image_distances",
    "images_are_in",
    "learn",
    "list_images",
    "load_config",
    "overlay",
    "predict",
    "quality_of_run",
    "read_features",
    "read_image",
    "run",
    "run_overview",
    "score_labels",
    "score_run",
    "spread_labels",
    "stability",
    "suggest_images",
    "sweep_clusters",
    "undo_export",
    "validate_submission",
    "write_report",
    "write_sample",
    "write_sheets",
]
