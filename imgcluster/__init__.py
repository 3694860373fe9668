"""From a folder of images to clusters and a submission file.

>>> import imgcluster
>>> config = imgcluster.load_config("configs/stage.yaml", ["clusters.n_clusters=6"])
>>> result = imgcluster.run(config)
>>> result.clusters.labels

Each step is there on its own, with plain values between: `list_images`, `extract_features`, `cluster_features`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from imgcluster._version import __version__ as __version__

if TYPE_CHECKING:
    from imgcluster.backbones import FeatureExtractor, PerceptualLoss, image_distances
    from imgcluster.clustering import cluster_features
    from imgcluster.config import (
        ClustersConfig,
        Config,
        FeaturesConfig,
        ImagesConfig,
        OutputsConfig,
        config_from_dict,
        load_config,
    )
    from imgcluster.datasets import write_sample
    from imgcluster.errors import ImgclusterError
    from imgcluster.evaluation import Grid, compare, score_labels, score_run, stability
    from imgcluster.explain import activation_grid, cluster_map, explain_run, filter_images, grad_cam, overlay
    from imgcluster.features import Features, ImageFeatures, extract, extract_features, read_features
    from imgcluster.images import list_images, read_image
    from imgcluster.labels import Spread, Suggestions, assign, learn, predict, spread_labels, suggest_images
    from imgcluster.learning import Learned, Training
    from imgcluster.pipeline import check, run, sweep_clusters
    from imgcluster.report import write_report, write_sheets
    from imgcluster.runs import (
        Run,
        export_features,
        export_folders,
        images_are_in,
        run_overview,
        undo_export,
        validate_submission,
    )
    from imgcluster.types import Clusters, ImageFile

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
    "Run",
    "Spread",
    "Suggestions",
    "Training",
    "activation_grid",
    "assign",
    "check",
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
    "grad_cam",
    "image_distances",
    "images_are_in",
    "learn",
    "list_images",
    "load_config",
    "overlay",
    "predict",
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

# Imported when first used, so that `import imgcluster` and `--help` do not wait for torch.
_MODULES = {
    "imgcluster.labels.assignment": ("assign",),
    "imgcluster.runs.folder_export.export": ("export_folders", "undo_export"),
    "imgcluster.clustering.cluster": ("cluster_features",),
    "imgcluster.evaluation.comparison": ("Grid", "compare"),
    "imgcluster.config.loader": (
        "ClustersConfig",
        "Config",
        "FeaturesConfig",
        "ImagesConfig",
        "OutputsConfig",
        "config_from_dict",
        "load_config",
    ),
    "imgcluster.errors": ("ImgclusterError",),
    "imgcluster.explain": (
        "activation_grid",
        "cluster_map",
        "explain_run",
        "filter_images",
        "grad_cam",
        "overlay",
    ),
    "imgcluster.runs.features": ("export_features",),
    "imgcluster.features.files": ("read_features",),
    "imgcluster.backbones.extractor": ("FeatureExtractor",),
    "imgcluster.features.extraction": ("extract_features",),
    "imgcluster.features.transformer": ("ImageFeatures",),
    "imgcluster.images.listing": ("list_images",),
    "imgcluster.evaluation.internal": ("score_run",),
    "imgcluster.features.arrays": ("extract",),
    "imgcluster.runs.validation": ("validate_submission",),
    "imgcluster.runs.overview": ("run_overview",),
    "imgcluster.learning.model": ("Learned",),
    "imgcluster.labels.learning": ("learn",),
    "imgcluster.backbones.perceptual": ("PerceptualLoss", "image_distances"),
    "imgcluster.labels.prediction": ("predict",),
    "imgcluster.pipeline": ("check", "run", "sweep_clusters"),
    "imgcluster.images.decode": ("read_image",),
    "imgcluster.report": ("write_report", "write_sheets"),
    "imgcluster.runs.places": ("images_are_in",),
    "imgcluster.samples": ("write_sample",),
    "imgcluster.evaluation.scoring": ("score_labels",),
    "imgcluster.labels.propagation": ("Spread", "spread_labels"),
    "imgcluster.labels.suggestions": ("Suggestions", "suggest_images"),
    "imgcluster.types": ("Clusters", "Features", "ImageFile", "Run"),
    "imgcluster.training": ("Training",),
    "imgcluster.evaluation.cluster_stability": ("stability",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'imgcluster' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
