from .csv import NO_TEXT, read_cells
from .files import cache_folder, copy_file, is_placeholder, move_file, one_of_many, parse_json, remove_temporary, replacing, same_bytes, sync_folder, write_whole
from .findings import remembered
from .hashing import digest_bytes, file_sha256, fingerprint_of, hash_file, known_sha256
from .imports import not_installed, without_pandas
from .kept import digest_arrays, kept_file, kept_path, pack_arrays, unpack_arrays
from .label_numbers import WHOLE, plain_label, plain_labels
from .lazy import LazySequence
from .machine_key import machine
from .parallel import IN_MEMORY_BYTES, OPENMP_THREADS, cores, finite_rows, in_order, is_large, new_rows, row_slices, squared_lengths
from .plotting import CHOSEN, INK, QUIET, save, style_panel
from .progress import Advance, Stopwatch, Tell, track
from .storage import AT_ONCE, DEFAULT_STORAGE, Place, RemotePath, Storage, at_once, in_words, is_url, shown
from .system import NOT_INSTALLED, asked_for, fits, free_memory, install_command, installed, ran_out, return_freed_memory
from .text import ASCII_BLOCK, ASCII_ELLIPSIS, BLOCK, ELLIPSIS, bar, can_show, columns_of, first_few, printable, shortened

__all__ = ["ASCII_BLOCK", "ASCII_ELLIPSIS", "AT_ONCE", "Advance", "BLOCK", "CHOSEN", "DEFAULT_STORAGE", "ELLIPSIS", "INK", "IN_MEMORY_BYTES", "LazySequence", "NOT_INSTALLED", "NO_TEXT", "OPENMP_THREADS", "Place", "QUIET", "RemotePath", "Stopwatch", "Storage", "Tell", "WHOLE", "asked_for", "at_once", "bar", "cache_folder", "can_show", "columns_of", "copy_file", "cores", "digest_arrays", "digest_bytes", "file_sha256", "fingerprint_of", "finite_rows", "first_few", "fits", "free_memory", "hash_file", "in_order", "in_words", "install_command", "installed", "is_large", "is_placeholder", "is_url", "kept_file", "kept_path", "known_sha256", "machine", "move_file", "new_rows", "not_installed", "one_of_many", "pack_arrays", "parse_json", "plain_label", "plain_labels", "printable", "ran_out", "read_cells", "remembered", "remove_temporary", "replacing", "return_freed_memory", "row_slices", "same_bytes", "save", "shortened", "shown", "squared_lengths", "style_panel", "sync_folder", "track", "unpack_arrays", "without_pandas", "write_whole"]
