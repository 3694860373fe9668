"""The section `clusters` of a config."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from imgcluster.config.fields import (
    Count,
    KRange,
    MethodName,
    Numbering,
    Order,
    Parameters,
    Step,
    unfit,
)
from imgcluster.config.method_table import AUTO, LEARNED, METHODS, MODEL
from imgcluster.config.schema import Section

# Keys that `method: learned` takes from the model: the default of each, and how `--set` writes it.
LEFT_TO_MODEL = {"transform": ((), "[]"), "numbering": ("raw", "raw"), "order": (None, "null")}


class ClustersConfig(Section):
    """How vectors become clusters."""

    method: MethodName = Field(
        default="auto",
        description="clustering algorithm; auto: diffusion, with a transform of its own unless one is set; learned: "
        "the classes of a model trained with `imgcluster learn`",
    )
    n_clusters: KRange = Field(
        default=None,
        description="number of clusters; auto or a range: the best of these, and a note says why; null: for methods "
        "that set it themselves",
        examples=[5, "auto", "2..40"],
    )
    parameters: Parameters = Field(
        default={},
        description="parameters of the method's scikit-learn estimator; with learned, the model's folder",
        examples=[{"linkage": "average", "metric": "cosine"}, {"model": "outputs/model"}],
    )
    n_init: Count = Field(
        default=10,
        description="number of initialisations; the best one is kept, and of many images auto makes no more after "
        "three that end alike",
    )
    backend: Literal["auto", "sklearn", "dask"] = Field(
        default="auto",
        description="what runs K-Means; auto: scikit-learn, or with the engine dask, dask-ml if the features exceed "
        "the memory of the machine that runs the command",
    )
    random_state: Annotated[int, Field(ge=0, le=2**32 - 1)] = Field(
        default=42, description="random seed; the same seed gives the same clusters"
    )
    transform: tuple[Step, ...] = Field(
        default=(),
        strict=False,  # YAML's list becomes a tuple; the steps themselves stay strict
        description="steps before clustering, in order; pca takes a number of components, or the share of variance to "
        "keep",
        examples=[["l2", {"pca": 256}]],
    )
    order: Order | None = Field(
        default=None,
        description="for frames in order; sequence: clusters are segments, whatever the method; {smooth: weight}: the "
        "cost of a change of cluster between neighbouring frames",
        examples=["sequence", {"smooth": 2.0}],
    )
    numbering: Numbering = Field(
        default="raw",
        description="how clusters are numbered; size: 0 is the largest; first_appearance: in the order of the images; "
        "match: as in another run; truth: by known labels of some images, in a CSV or a folder with a subfolder per "
        "label",
        examples=["match:outputs/stage", "truth:some.csv"],
    )

    hierarchy: bool | None = Field(
        default=None,
        description="nested clusters around these, coarser and finer, in hierarchy.json and the report; null: with "
        "method auto, unless there is an order",
    )

    @model_validator(mode="after")
    def _has_a_number_where_needed(self) -> ClustersConfig:
        finds_its_own = METHODS[self.method].k is None and self.order != "sequence"
        if finds_its_own and self.n_clusters is not None:
            raise unfit(f"n_clusters: {self.method} sets the number of clusters itself; set it to null")
        if not finds_its_own and self.n_clusters is None:
            asking = "sequence" if self.order == "sequence" else self.method
            raise unfit(f"n_clusters: missing; {asking} needs a whole number >= 1, or auto")
        return self

    @model_validator(mode="after")
    def _has_a_backend_for_it(self) -> ClustersConfig:
        if self.backend == "dask" and (self.method != "kmeans" or self.parameters or self.order is not None):
            raise unfit("backend: dask has K-Means alone, without parameters or an order; set clusters.method: kmeans")
        return self

    @model_validator(mode="after")
    def _has_a_hierarchy_of_images(self) -> ClustersConfig:
        for name, without in (("order", self.order is None), ("backend", self.backend != "dask")):
            if self.hierarchy and not without:
                raise unfit(
                    f"hierarchy: there is none with {name}: {getattr(self, name)}; set clusters.hierarchy: null"
                )
        return self

    @model_validator(mode="after")
    def _leaves_to_the_model_what_is_its_own(self) -> ClustersConfig:
        if self.method != LEARNED or self.order == "sequence":
            return self
        if not isinstance(self.parameters.get(MODEL), str):
            raise unfit("parameters: {model: FOLDER} is missing; learned takes the model that `learn` wrote there")
        for name, (default, text) in LEFT_TO_MODEL.items():
            if getattr(self, name) != default:
                raise unfit(f"{name}: learned takes this from its model; remove it, or set clusters.{name}={text}")
        return self

    @property
    def has_hierarchy(self) -> bool:
        """Whether a hierarchy is built around the clusters."""
        return self.has_probability if self.hierarchy is None else self.hierarchy

    @property
    def has_probability(self) -> bool:
        """Whether each image gets the probability that its cluster is right: it is calibrated for `auto` alone."""
        return self.ignores_order

    @property
    def ignores_order(self) -> bool:
        """Whether the clusters are the same in any order of the images."""
        return self.method == AUTO and self.order is None

    @property
    def k(self) -> int:
        """The number of clusters, where the config sets one. Raises TypeError for auto, a range or null."""
        if not isinstance(self.n_clusters, int):
            raise TypeError(f"n_clusters is {self.n_clusters}")
        return self.n_clusters
