"""Print the table of docs/formats.md."""

from __future__ import annotations

from tests.support.formats.table import table

print(table())
