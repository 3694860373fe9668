from .notebook import run_html
from .sheets import write_sheets
from .write import discard_report, write_report

__all__ = ["discard_report", "run_html", "write_report", "write_sheets"]
