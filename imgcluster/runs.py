"""The record of a finished run, as others read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imgcluster.errors import OutputError
from imgcluster.outputs.run_folder import RECORD


def read_record(run_folder: Path) -> dict[str, Any]:
    """Return what run.json of a finished run says. Raises OutputError: none there, damaged, not finished."""
    path = run_folder / RECORD
    try:
        record = json.loads(path.read_bytes())
        finished = record["status"] == "done"
    except OSError as error:
        raise OutputError(f"{str(run_folder)!r} is no run folder ({RECORD}: {error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise OutputError(f"{str(path)!r} is damaged; run the config again with --force") from None
    if not finished:
        raise OutputError(f"the run in {str(run_folder)!r} is not finished; run its config again")
    return dict(record)
