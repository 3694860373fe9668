from .notebook import run_html
from .sheets import write_sheets
from .word_names import check_words
from .write import discard_report, write_report

__all__ = ["check_words", "discard_report", "run_html", "write_report", "write_sheets"]
