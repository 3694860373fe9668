from .as_used import caveat, config_as_used, features_as_used
from .backbone_table import BACKBONES, FORMULA, OLD_NAMES, REFUSED, Backbone
from .clusters_schema import ClustersConfig
from .docs import config_table
from .engine_schema import DaskEngine
from .fields import BUNDLED, FORMULAS, bytes_of, parse_range
from .file_patterns import ID, Fold, NameIndex, fill, glob_regex, is_wild, slices_of, within
from .likely_names import known_elsewhere, likely, likely_key
from .loader import SECTIONS, Config, config_from_dict, config_schema, features_as_dict, features_from_dict, load_config
from .method_table import ALL, AUTO, DIFFUSION, LEARNED, MATCH, METHODS, MODEL, TRUTH, WEIGHTED
from .outputs_schema import OutputsConfig
from .reading import AS_SHOWN, SHARED, Limits, Reading
from .recipe import NORMALIZATIONS, STAGE, Recipe, Steps, check_views, named_recipe, recipe_of
from .run_files import RunFiles
from .schema import AUTO_BACKBONE, AutoRecord, FeaturesConfig, ImagesConfig
from .video import VideoSampling
from .yaml import parse_yaml

__all__ = [
    "ALL",
    "AS_SHOWN",
    "AUTO",
    "AUTO_BACKBONE",
    "BACKBONES",
    "BUNDLED",
    "DIFFUSION",
    "FORMULA",
    "FORMULAS",
    "ID",
    "LEARNED",
    "MATCH",
    "METHODS",
    "MODEL",
    "NORMALIZATIONS",
    "OLD_NAMES",
    "REFUSED",
    "SECTIONS",
    "SHARED",
    "STAGE",
    "TRUTH",
    "WEIGHTED",
    "AutoRecord",
    "Backbone",
    "ClustersConfig",
    "Config",
    "DaskEngine",
    "FeaturesConfig",
    "Fold",
    "ImagesConfig",
    "Limits",
    "NameIndex",
    "OutputsConfig",
    "Reading",
    "Recipe",
    "RunFiles",
    "Steps",
    "VideoSampling",
    "bytes_of",
    "caveat",
    "check_views",
    "config_as_used",
    "config_from_dict",
    "config_schema",
    "config_table",
    "features_as_dict",
    "features_as_used",
    "features_from_dict",
    "fill",
    "glob_regex",
    "is_wild",
    "known_elsewhere",
    "likely",
    "likely_key",
    "load_config",
    "named_recipe",
    "parse_range",
    "parse_yaml",
    "recipe_of",
    "slices_of",
    "within",
]
