from .archive import pack_weights, use_weights
from .auto import choose_auto
from .build import capture, size_problem
from .clip_networks import NAMING_NETWORK
from .extractor import FeatureExtractor
from .head import classify
from .inventory import WeightsRow, find_clip_weights, get_weights, list_weights, missing_weights
from .layer_outputs import Pooled, Watched, cut
from .layers import LOGITS, PREDICTIONS, Layers, check_layers, layers_of
from .listing import LayerRow, ModelRow, list_layers, list_models
from .networks import CLASSES, class_names, empty_network, network_with
from .perceptual import PerceptualLoss, distances_and_scale, image_distances
from .pooling import join, pool
from .runtimes.base import Blocks, Runtime
from .runtimes.batch_sizes import auto_batch_size
from .runtimes.calibration import find_calibration
from .runtimes.check_pictures import MAX_IMAGES_READ, some_of, usable
from .runtimes.comparison import compare_precisions
from .runtimes.devices import describe, find_device, find_devices, find_precision, has_vnni, tf32
from .runtimes.int8 import check_int8
from .runtimes.openvino_package import Unsupported, import_openvino, is_installed
from .runtimes.plan import Plan, build_runtime, build_with_fallback, plan_for, with_fallback
from .runtimes.precision import (
    EXACT_CONVOLUTIONS,
    IMAGES_READ,
    MIN_AGREEMENT,
    MIN_COSINE,
    MIN_IMAGES_OF_RUN,
    Deviation,
    PrecisionCheck,
)
from .runtimes.torch_runtime import DTYPES, TorchRuntime, normalization, scaled, with_channels_last
from .select import Choice, check_backbones, check_fit, choose_backbones, find_backbone
from .text_tower import TextVectors, embed_phrases
from .timm_networks import recipe_of_timm
from .weights.load import find_weights
from .weights.locate import are_here, place_of

__all__ = [
    "CLASSES",
    "DTYPES",
    "EXACT_CONVOLUTIONS",
    "IMAGES_READ",
    "LOGITS",
    "MAX_IMAGES_READ",
    "MIN_AGREEMENT",
    "MIN_COSINE",
    "MIN_IMAGES_OF_RUN",
    "NAMING_NETWORK",
    "PREDICTIONS",
    "Blocks",
    "Choice",
    "Deviation",
    "FeatureExtractor",
    "LayerRow",
    "Layers",
    "ModelRow",
    "PerceptualLoss",
    "Plan",
    "Pooled",
    "PrecisionCheck",
    "Runtime",
    "TextVectors",
    "TorchRuntime",
    "Unsupported",
    "Watched",
    "WeightsRow",
    "are_here",
    "auto_batch_size",
    "build_runtime",
    "build_with_fallback",
    "capture",
    "check_backbones",
    "check_fit",
    "check_int8",
    "check_layers",
    "choose_auto",
    "choose_backbones",
    "class_names",
    "classify",
    "compare_precisions",
    "cut",
    "describe",
    "distances_and_scale",
    "embed_phrases",
    "empty_network",
    "find_backbone",
    "find_calibration",
    "find_clip_weights",
    "find_device",
    "find_devices",
    "find_precision",
    "find_weights",
    "get_weights",
    "has_vnni",
    "image_distances",
    "import_openvino",
    "is_installed",
    "join",
    "layers_of",
    "list_layers",
    "list_models",
    "list_weights",
    "missing_weights",
    "network_with",
    "normalization",
    "pack_weights",
    "place_of",
    "plan_for",
    "pool",
    "recipe_of_timm",
    "scaled",
    "size_problem",
    "some_of",
    "tf32",
    "usable",
    "use_weights",
    "with_channels_last",
    "with_fallback",
]
