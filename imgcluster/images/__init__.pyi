from .augment import Augmentation, check_augmentation, seed_of
from .convert import to_rgb
from .decode import RULES, Marks, bytes_of, decode_image, decode_picture, read_bytes, read_image, room_for
from .earlier import reads_as_before
from .extras import decoder_of, decoders_by_ending
from .file_kinds import head_of, kind_of
from .geometry import onto_picture, windows_of
from .headers import is_opaque
from .ids.columns import (
    ID_COLUMN,
    ID_NAMES,
    best_column,
    can_be_ids,
    is_index,
    names_by,
    naming_column,
    other_columns,
    other_names,
)
from .ids.known_labels import KnownLabels, read_known, table_at
from .ids.label_cells import (
    NUMBER,
    WHOLE_NUMBER,
    Asked,
    Cells,
    adds_up,
    cells_of,
    is_said,
    kind_of_cells,
    number_at_end,
    read_asked,
)
from .ids.matching import match_names
from .ids.pattern_search import FoundPatterns, find_patterns
from .ids.spellings import ITSELF, Spelling, spellings
from .ids.table import check_ids, has_column, named_source, read_labels, read_rows, read_template
from .listing import Listing, find_images, images_at, list_images, list_with_notes, parts_of_files, walk_images
from .loader import Batch, Pixels, read_batches
from .measures import FRAME, MEASURED, MEASURES, RULES_OF_MEASURES, SIGNATURE_SIDE, measure, signature
from .opencv import jpeg, png
from .pages import split_page
from .pixel_check import differences
from .preprocess import find_recipe, prepare, ready_to_prepare, resizes_here
from .preprocess_gpu import GpuPreprocessor
from .shared_range import range_notes, with_shared_range
from .sources.archive import names_apart
from .sources.base import Lost, RemoteFile, asked_again, in_reading_order, number_of, readers_for
from .sources.endings import ending_of
from .sources.local import none_below
from .sources.names import SUFFIXES
from .sources.open import Holder, is_held, open_again, open_all_again, open_holder
from .sources.remote import known_by_listing
from .used import decoders_used
from .video.extra import check_no_video
from .video.frames import VideoFrame, video_starts
from .video.names import split_frame

__all__ = [
    "FRAME",
    "ID_COLUMN",
    "ID_NAMES",
    "ITSELF",
    "MEASURED",
    "MEASURES",
    "NUMBER",
    "RULES",
    "RULES_OF_MEASURES",
    "SIGNATURE_SIDE",
    "SUFFIXES",
    "WHOLE_NUMBER",
    "Asked",
    "Augmentation",
    "Batch",
    "Cells",
    "FoundPatterns",
    "GpuPreprocessor",
    "Holder",
    "KnownLabels",
    "Listing",
    "Lost",
    "Marks",
    "Pixels",
    "RemoteFile",
    "Spelling",
    "VideoFrame",
    "adds_up",
    "asked_again",
    "best_column",
    "bytes_of",
    "can_be_ids",
    "cells_of",
    "check_augmentation",
    "check_ids",
    "check_no_video",
    "decode_image",
    "decode_picture",
    "decoder_of",
    "decoders_by_ending",
    "decoders_used",
    "differences",
    "ending_of",
    "find_images",
    "find_patterns",
    "find_recipe",
    "has_column",
    "head_of",
    "images_at",
    "in_reading_order",
    "is_held",
    "is_index",
    "is_opaque",
    "is_said",
    "jpeg",
    "kind_of",
    "kind_of_cells",
    "known_by_listing",
    "list_images",
    "list_with_notes",
    "match_names",
    "measure",
    "named_source",
    "names_apart",
    "names_by",
    "naming_column",
    "none_below",
    "number_at_end",
    "number_of",
    "onto_picture",
    "open_again",
    "open_all_again",
    "open_holder",
    "other_columns",
    "other_names",
    "parts_of_files",
    "png",
    "prepare",
    "range_notes",
    "read_asked",
    "read_batches",
    "read_bytes",
    "read_image",
    "read_known",
    "read_labels",
    "read_rows",
    "read_template",
    "readers_for",
    "reads_as_before",
    "ready_to_prepare",
    "resizes_here",
    "room_for",
    "seed_of",
    "signature",
    "spellings",
    "split_frame",
    "split_page",
    "table_at",
    "to_rgb",
    "video_starts",
    "walk_images",
    "windows_of",
    "with_shared_range",
]
