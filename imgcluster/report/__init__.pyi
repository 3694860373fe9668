from .notebook import run_html
from .sheets import contact_sheet, write_sheets
from .word_names import check_words
from .write import discard_report, report_with_facts, write_report

__all__ = [
    "check_words",
    "contact_sheet",
    "discard_report",
    "report_with_facts",
    "run_html",
    "write_report",
    "write_sheets",
]
