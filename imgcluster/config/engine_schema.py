"""The keys `engine` and `storage`: where the work is done, and options of file systems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema

from imgcluster.config.fields import Count, Text, unfit
from imgcluster.config.secrets import secret_in_options
from imgcluster.config.wording import Allowed, describe

PROTOCOL = r"[a-z][a-z0-9+.-]+"
Address = Annotated[str, Field(pattern=r"^(tcp|tls|ws|wss|ucx)://\S+:[0-9]+$"), Allowed("tcp://HOST:PORT")]


class DaskEngine(BaseModel):
    """A Dask cluster: the one at an address, or one on this machine that ends with the run."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    address: Address | None = Field(
        default=None,
        description="address of a running scheduler; null: start a cluster on this machine",
        examples=["tcp://10.0.0.1:8786"],
    )
    workers: Count | None = Field(
        default=None, description="processes of a cluster on this machine; null: one per core", examples=[4]
    )
    threads: Count | None = Field(default=None, description="cores of each process; null: an equal share", examples=[2])
    memory: Text | None = Field(
        default=None, description="memory limit of each process; null: an equal share", examples=["4GB"]
    )
    images_per_task: Count = Field(
        default=8192,
        description="maximum number of images in a task; fewer if they are more than ten seconds of work",
    )
    patience: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="seconds to wait for a scheduler or workers, at the start and after a failure"
    )


def _known_engine(value: Any) -> Any:
    if value in ("local", "dask") or not isinstance(value, Mapping):
        return value
    settings = value.get("dask")
    if set(value) != {"dask"}:
        strange = next(iter(set(value) - {"dask"}), "nothing")
        raise unfit(f"found {str(strange)!r} in it, allowed: {ENGINE_WORDS}")
    try:
        _DASK.validate_python(settings)
    except ValidationError as error:
        raise unfit(_complaint(error.errors(include_url=False)[0], settings)) from None
    return value


def _complaint(complaint: Any, settings: Any) -> str:
    if not complaint["loc"]:
        return f"dask: allowed: a mapping with the keys {', '.join(DaskEngine.model_fields)}"
    key = str(complaint["loc"][0])
    if key not in DaskEngine.model_fields:
        return f"dask.{key}: unknown key (allowed: {', '.join(DaskEngine.model_fields)})"
    field = DaskEngine.model_fields[key]
    return f"dask.{key}: found {settings[key]!r}, allowed: {describe(field.annotation, field.metadata)}"


def _without_secrets(value: Any) -> Any:
    """Refuse what nobody should write into a file that is shared; its value is never shown."""
    for protocol, options in value.items() if isinstance(value, Mapping) else ():
        if not re.fullmatch(PROTOCOL, str(protocol)):
            raise unfit(f"{str(protocol)!r} is not a protocol, such as s3, gs or http")
        if not isinstance(options, Mapping):
            raise unfit(f"{protocol}: allowed: a mapping of options of its file system, such as {{anon: true}}")
        if found := secret_in_options(options):
            place, what = found
            raise unfit(
                f"{protocol}.{place}: {what} does not belong into a config; set it in the environment, as "
                f"FSSPEC_{protocol.upper()}_{place.split('.')[0].upper()}, or by what {protocol} itself looks for"
            )
    return value


_DASK: TypeAdapter[Any] = TypeAdapter(DaskEngine)
ENGINE_WORDS = "local, dask, or {dask: {address: tcp://HOST:PORT}} with its settings"

Engine = Annotated[
    Literal["local", "dask"] | dict[Literal["dask"], DaskEngine],
    BeforeValidator(_known_engine),
    Allowed(ENGINE_WORDS, ("local", "dask")),
]
Storage = Annotated[
    dict[Text, dict[Text, Any]],
    BeforeValidator(_without_secrets),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "object"}}),
    Allowed("a mapping of protocols to the options of their file systems, such as {s3: {anon: true}}"),
]
