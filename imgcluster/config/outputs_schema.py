"""The section `outputs` of a config."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from imgcluster.config.fields import ClusterNames, CsvName, PathText, Text, unfit
from imgcluster.config.run_files import RunFiles
from imgcluster.config.schema import Section


class OutputsConfig(Section):
    """What a run writes, and where."""

    folder: PathText = Field(description="the run folder", examples=["outputs/stage"])
    submission: CsvName | None = Field(
        default=RunFiles.SUBMISSION, description="file name of the submission in the run folder; null: none"
    )
    rows: Literal["images", "segments"] = Field(
        default="images",
        description="what the submission has a row for; segments: of videos, consecutive frames in one cluster, with "
        "their video, start and end in seconds",
    )
    label_column: Text = Field(default="label", description="column of the submission that takes the clusters")
    layout: Literal["labels", "one_hot", "soft", "names"] = Field(
        default="labels",
        description="what the submission contains; labels: cluster numbers; names: cluster names; one_hot: a column "
        "per cluster, 1 in the image's own; soft: the probability of each cluster",
    )
    probabilities: Literal["distance", "calibrated"] = Field(
        default="distance",
        description="the probabilities of layout soft; distance: by the distances to the centroids, or those of the "
        "method; calibrated: how likely the own cluster is right, as in clusters.csv, for clusters.method: auto",
    )
    label_offset: int = Field(
        default=0,
        description="first label; added to cluster numbers in the submission, but not to known labels",
        examples=[1],
    )
    names: ClusterNames | None = Field(
        default=None,
        description="names of the clusters; in the submission the labels (names) or the columns (one_hot, soft)",
        examples=[{0: "entry", 1: "descent"}],
    )
    images: Literal["csv", "parquet"] = Field(
        default="csv",
        description="the format of the table of images, images.csv or images.parquet: all that is known of each image",
    )
    names_from: PathText | None = Field(
        default=None,
        description="text file of one word or phrase a line; in the report and in `show`, a cluster is called by the "
        "phrase that a CLIP network is sure of over its images; null: by ImageNet's classes",
        examples=["words.txt"],
    )
    report: bool = Field(default=True, description="write a report: report/index.html")
    contact_sheets: bool = Field(
        default=False, description="write a contact sheet of each cluster: clusters/00.jpg, ..."
    )

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> OutputsConfig:
        if self.rows == "segments" and self.layout not in ("labels", "names"):
            raise unfit(f"rows: segments have labels or names, not {self.layout}; set outputs.layout: labels")
        if self.names_from is not None and not self.report:
            raise unfit("names_from: the report has these names; set outputs.report: true")
        return self
