"""The table of config keys in Markdown, made from the models."""

from __future__ import annotations

import yaml
from pydantic.fields import FieldInfo

from imgcluster.config.loader import SECTIONS, Config
from imgcluster.config.wording import describe


def config_table() -> str:
    """A Markdown table of every key, as `configs/README.md` holds it."""
    fields = {
        f"{name}.{key}": field for name, section in SECTIONS.items() for key, field in section.model_fields.items()
    }
    fields |= {name: field for name, field in Config.model_fields.items() if name not in SECTIONS}
    rows = [
        (f"`{key}`", describe(field.annotation, field.metadata), _default(field), str(field.description))
        for key, field in fields.items()
    ]
    table = [("key", "allowed", "default", "meaning"), ("---",) * 4, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{yaml.safe_dump(default, default_flow_style=True).splitlines()[0]}`"
