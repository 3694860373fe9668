"""The sections of a config: one pydantic model each, with every key's default and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imgcluster.config.fields import (
    BUNDLED,
    Backbones,
    BlockWeights,
    ClusterNames,
    Count,
    CsvName,
    Device,
    Encoding,
    FeaturesFile,
    FileColumns,
    FilePatterns,
    Folders,
    Globs,
    KRange,
    Layers,
    MethodName,
    Numbering,
    OneOf,
    Order,
    Parameters,
    PathText,
    Preprocess,
    Step,
    Text,
    WeightsSpec,
    unfit,
)
from imgcluster.config.method_table import LEARNED, METHODS, MODEL

# Keys that a model has in itself, each with its default, and that as `--set` takes it.
LEFT_TO_MODEL = {"transform": ((), "[]"), "numbering": ("raw", "raw"), "order": (None, "null")}


class Section(BaseModel):
    """A part of a config. Unknown keys are refused, and values of another type."""

    # strict: true is no number and "5" neither, so that a slip is told instead of guessed at.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ImagesConfig(Section):
    """Which images, in which order."""

    folder: Folders = Field(
        description="folder that holds the images, here or behind a URL; or a .tar, .zip or .parquet of them, or "
        "several by * or {000..009}; or a list of these, whose names come before the ids",
        examples=["data/stage/test", "s3://bucket/frames", "shards/train-{000..009}.tar", ["data/cats", "data/dogs"]],
    )
    include: Globs = Field(
        default=(),
        description="only images that match one of these globs, such as '*.jpg' or 'train/**'; none: all",
        examples=[["train/**", "*_rgb.png"]],
    )
    exclude: Globs = Field(
        default=(),
        description="no images that match one of these globs, such as '*_mask.png' or the folder masks",
        examples=[["*_mask.png", "thumbs"]],
    )
    ids: PathText | None = Field(
        default=None,
        description="CSV, here or behind a URL, whose rows give the images and their order; null: every image under "
        "the folder",
        examples=["data/stage/sample_submission.csv"],
    )
    id_column: Text | None = Field(
        default=None,
        description="column of `ids` that names the images, without `ids` that of a .parquet; null: the first one, or "
        "where its cells are no files the one whose cells are",
        examples=["ImageID"],
    )
    column: Text | None = Field(
        default=None,
        description="column of a .parquet that has the images, with [0] behind it the first of each row's list; null: "
        "the only one, or the one called image, img, jpg, jpeg, png or bytes",
        examples=["image_0", "images[0]"],
    )
    file: FilePatterns = Field(
        default="{id}.jpg",
        description="how an id becomes a file under the folder; **/ any folders, {id[:2]} a slice, .* any ending; of a "
        "list, the pattern whose file is there",
        examples=["{id}.png", "**/{id}.png", "{id[0]}/{id[1]}/{id}.jpg", ["{id}.jpg", "{id}.png"]],
    )
    encoding: Encoding | None = Field(
        default=None,
        description="text encoding of `ids`; null: by its byte order mark, else UTF-8",
        examples=["cp1252"],
    )
    missing: Literal["stop", "skip"] = Field(
        default="stop", description="an id without a file stops the run, or is recorded as a failure (skip)"
    )
    on_error: Literal["record", "stop"] = Field(
        default="record", description="an image that cannot be read is recorded as a failure, or stops the run"
    )

    @model_validator(mode="after")
    def _has_a_column_of_a_parquet(self) -> ImagesConfig:
        if self.column is not None and not any(".parquet" in folder.lower() for folder in self.folders):
            raise unfit("column: it chooses a column of a .parquet, and images.folder names none; leave it out")
        return self

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders and archives that hold the images, at least one."""
        return self.folder if isinstance(self.folder, tuple) else (self.folder,)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns by which an id becomes a file, at least one."""
        return self.file if isinstance(self.file, tuple) else (self.file,)


class FeaturesConfig(Section):
    """How an image becomes a vector."""

    backbone: Backbones = Field(
        default="vgg16",
        description="the pretrained network, or a list of networks whose features are joined",
        examples=["vgg16", ["vgg16", "efficientnet_lite0"]],
    )
    layer: Layers = Field(
        default=None,
        description="where the feature is read, or a list of layers to join; null: the backbone's default layer; "
        "of several backbones, a layer or list for each",
        examples=["fc6", "relu5_3", -2, ["relu3_3", "relu4_3", "fc6"], {"vgg16": ["relu5_3", "fc6"]}],
    )
    pooling: Literal["auto", "avg", "max", "gem", "rmac", "spp", "cls", "mean", "flatten"] = Field(
        default="auto", description="how a map or tokens become a vector; auto: the average, or the class token"
    )
    block_l2: bool = Field(default=False, description="give each layer's features the length 1 before joining them")
    block_weights: BlockWeights | None = Field(
        default=None,
        description="a factor for each layer's features, in order, one backbone's after the other's",
        examples=[[1, 1, 0.5]],
    )
    weights: WeightsSpec = Field(
        default="imagenet", description="what the network has learnt, or a file with a state dict", examples=["my.pth"]
    )
    fallback: Annotated[str, OneOf(BUNDLED)] | None = Field(
        default="efficientnet_lite0",
        description="backbone taken, loudly, where the weights cannot be had; null: stop instead, as it does where "
        "`backbone` is set and this key is not",
    )
    preprocess: Preprocess = Field(
        default="backbone",
        description="how pixels become input; backbone: as its weights were trained; squash: the same, the whole "
        "picture out of shape; letterbox: the whole picture with borders",
        examples=["stage", [{"resize": 256}, {"center_crop": 224}, "rgb", {"normalize": "imagenet"}]],
    )
    views: Literal["center", "flip", "whole", "five_crops", "ten_crops"] = Field(
        default="center",
        description="what is seen of each picture, the features averaged; flip: it and its mirror image; "
        "whole: the middle, and the whole picture squashed; ten_crops: "
        "corners and middle, and their mirror images",
    )
    device: Device = Field(
        default="auto",
        description="where the network runs; auto: the GPU where there is one; of several, a process on each",
        examples=["cuda:1", ["cuda:0", "cuda:1"]],
    )
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "int8"] = Field(
        default="auto",
        description="number format of the computation; auto: bf16 where the hardware speeds it up; int8: the quickest "
        "on a CPU and the least exact, calibrated on 40 of the images, which are kept in the store",
    )
    runtime: Literal["auto", "torch", "torch_compile", "openvino"] = Field(
        default="auto", description="what executes the network; auto: openvino on a CPU where it can, else torch"
    )
    batch_size: Literal["auto"] | Count = Field(default="auto", description="images computed at a time", examples=[64])
    store: PathText = Field(default="outputs/features", description="folder of features kept between runs")
    file: FeaturesFile | None = Field(
        default=None,
        description="file of features made elsewhere, matched by id; no other key of this section but `file_columns` "
        "matters then",
        examples=["features.npz"],
    )
    file_columns: FileColumns | None = Field(
        default=None,
        description="which columns or arrays of `file` hold the vectors: a name, or what the names of numbered columns "
        "begin with; null: the one column of lists, or the columns that are numbered",
        examples=["vector", "feat_", ["resnet_", "vgg_"]],
    )

    @model_validator(mode="before")
    @classmethod
    def _stops_for_a_backbone_asked_for(cls, given: Any) -> Any:
        """The default backbone has a fallback; one asked for by name has one only where that is asked for too."""
        if isinstance(given, Mapping) and "backbone" in given and "fallback" not in given:
            return {**given, "fallback": None}
        return given

    @model_validator(mode="after")
    def _fits_several_backbones(self) -> FeaturesConfig:
        names = self.backbones
        if isinstance(self.layer, dict):
            if strange := [name for name in self.layer if name not in names]:
                raise unfit(f"layer: {strange[0]!r} is not among the backbones, {', '.join(names)}")
        elif self.layer is not None and len(names) > 1:
            raise unfit(f"layer: of several backbones, {{{names[0]}: LAYER, {names[1]}: LAYER}} or null is needed")
        if self.file_columns is not None and self.file is None:
            raise unfit("file_columns: it chooses columns of features.file, and there is none; leave it out")
        if self.weights not in ("imagenet", "random") and len(names) > 1:
            raise unfit("weights: a file fits one backbone; of several, imagenet or random is needed")
        return self

    @property
    def backbones(self) -> tuple[str, ...]:
        """The backbones asked for, at least one."""
        return self.backbone if isinstance(self.backbone, tuple) else (self.backbone,)

    def layers_of(self, backbone: str) -> tuple[str | int, ...]:
        """Return the layers asked for of a backbone; none where its default is meant."""
        layer = self.layer.get(backbone) if isinstance(self.layer, dict) else self.layer
        if layer is None:
            return ()
        return layer if isinstance(layer, tuple) else (layer,)


class ClustersConfig(Section):
    """How vectors become clusters."""

    method: MethodName = Field(
        default="auto",
        description="the clustering algorithm; auto: diffusion, after a transform of its own where none is given; "
        "learned: no algorithm, but the classes of a model that `learn` wrote",
    )
    n_clusters: KRange = Field(
        default=None,
        description="number of clusters; auto or a range: the best of these, with the reason; null: for methods that "
        "find their own",
        examples=[5, "auto", "2..40"],
    )
    parameters: Parameters = Field(
        default={},
        description="parameters of the method's estimator in scikit-learn; of learned, the model's folder",
        examples=[{"linkage": "average", "metric": "cosine"}, {"model": "outputs/model"}],
    )
    n_init: Count = Field(default=10, description="fresh starts, of which the best is kept")
    backend: Literal["auto", "sklearn", "dask"] = Field(
        default="auto",
        description="what runs K-Means; auto: scikit-learn; with the engine dask, dask-ml where the features do not "
        "fit into the memory of the machine that drives it",
    )
    random_state: Annotated[int, Field(ge=0, le=2**32 - 1)] = Field(
        default=42, description="seed; the same one gives the same clusters"
    )
    transform: tuple[Step, ...] = Field(
        default=(),
        strict=False,  # YAML's list becomes a tuple; the steps themselves stay strict
        description="steps before clustering, in order; pca takes components, or the share of variance to keep",
        examples=[["l2", {"pca": 256}]],
    )
    order: Order | None = Field(
        default=None,
        description="for frames in order; sequence: the clusters are segments, whatever the method; {smooth: weight}: "
        "what a change from one frame to the next costs",
        examples=["sequence", {"smooth": 2.0}],
    )
    numbering: Numbering = Field(
        default="raw",
        description="how clusters are numbered; size: 0 is the largest; match: as in another run; truth: as in the "
        "labels known of some images, in a CSV or in a folder with a subfolder for each label",
        examples=["match:outputs/stage", "truth:some.csv"],
    )

    @model_validator(mode="after")
    def _has_a_number_where_needed(self) -> ClustersConfig:
        finds_its_own = METHODS[self.method].k is None and self.order != "sequence"
        if finds_its_own and self.n_clusters is not None:
            raise unfit(f"n_clusters: {self.method} finds a number of its own; allowed: null")
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
    def _leaves_to_the_model_what_is_its_own(self) -> ClustersConfig:
        if self.method != LEARNED or self.order == "sequence":
            return self
        if not isinstance(self.parameters.get(MODEL), str):
            raise unfit("parameters: {model: FOLDER} is missing; learned takes the model that `learn` wrote there")
        for name, (default, text) in LEFT_TO_MODEL.items():
            if getattr(self, name) != default:
                raise unfit(f"{name}: learned has that of its model; leave it out, or set clusters.{name}={text}")
        return self

    @property
    def k(self) -> int:
        """The number of clusters asked for, of a config that says one."""
        if not isinstance(self.n_clusters, int):
            raise TypeError(f"n_clusters is {self.n_clusters}")
        return self.n_clusters


class OutputsConfig(Section):
    """What a run writes, and where."""

    folder: PathText = Field(description="the run folder", examples=["outputs/stage"])
    submission: CsvName | None = Field(
        default="submission.csv", description="the submission in the run folder; null: none"
    )
    label_column: Text = Field(default="label", description="column of the submission that takes the clusters")
    layout: Literal["labels", "one_hot", "soft", "names"] = Field(
        default="labels",
        description="what the submission says of each image; labels: its cluster's number; names: the name; one_hot: a "
        "column for each cluster, 1 in its own; soft: how likely each cluster is",
    )
    label_offset: int = Field(
        default=0,
        description="where labels begin; added to the clusters' numbers in the submission, but not to labels known",
        examples=[1],
    )
    names: ClusterNames | None = Field(
        default=None,
        description="the clusters' names in the submission: with names its labels, with one_hot and soft its columns",
        examples=[{0: "entry", 1: "descent"}],
    )
    report: bool = Field(default=True, description="whether a run leaves a page to look at: report/index.html")
    contact_sheets: bool = Field(
        default=False, description="whether a run leaves a picture of each cluster's images: clusters/00.jpg, ..."
    )
