from .arrays import extract
from .auto import settled
from .copies import Copies, distinct_images
from .engines.dask.cluster import Cluster, check_engine, open_cluster, start_early
from .extraction import check_readable, extract_features, runtime_for
from .file_formats import import_parquet
from .files import features_from_file, read_features
from .listed import extract_listed
from .measuring import MEASURE_COLUMNS, measured_images
from .reductions import Moments, block_moments, joined_moments
from .result import Features, Origin
from .shots import only_shots
from .steps import NO_UMAP, STEPS, State, unit_length
from .store.keys import any_there, known_key, known_keys, read_with_key, with_stamps
from .store.measures import stored_measures
from .store.reader import Part, StoredVectors, read_block
from .store.shards import ImageKey
from .store.store import FeatureStore
from .transformer import ImageFeatures
from .transforms import (
    Points,
    apply_transform,
    check_steps,
    fit_steps,
    fit_transform,
    fitted_steps,
    join_blocks,
    moments,
)

__all__ = [
    "MEASURE_COLUMNS",
    "NO_UMAP",
    "STEPS",
    "Cluster",
    "Copies",
    "FeatureStore",
    "Features",
    "ImageFeatures",
    "ImageKey",
    "Moments",
    "Origin",
    "Part",
    "Points",
    "State",
    "StoredVectors",
    "any_there",
    "apply_transform",
    "block_moments",
    "check_engine",
    "check_readable",
    "check_steps",
    "distinct_images",
    "extract",
    "extract_features",
    "extract_listed",
    "features_from_file",
    "fit_steps",
    "fit_transform",
    "fitted_steps",
    "import_parquet",
    "join_blocks",
    "joined_moments",
    "known_key",
    "known_keys",
    "measured_images",
    "moments",
    "only_shots",
    "open_cluster",
    "read_block",
    "read_features",
    "read_with_key",
    "runtime_for",
    "settled",
    "start_early",
    "stored_measures",
    "unit_length",
    "with_stamps",
]
