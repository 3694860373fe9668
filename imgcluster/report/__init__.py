"""The report of a run: a page that opens in a browser, without a server and without the internet."""

from imgcluster.report.notebook import run_html
from imgcluster.report.sheets import write_sheets
from imgcluster.report.write import discard_report, write_report

__all__ = ["discard_report", "run_html", "write_report", "write_sheets"]
