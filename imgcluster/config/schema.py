"""The sections `images` and `features` of a config: pydantic models with the default and the meaning of every key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from imgcluster.config.fields import (
    BUNDLED,
    Backbones,
    Bands,
    BlockWeights,
    Count,
    Device,
    DownloadLimit,
    Encoding,
    FeaturesFile,
    FileColumns,
    FilePatterns,
    Folders,
    Globs,
    Layers,
    PathText,
    Preprocess,
    Text,
    ValueRange,
    WeightsSpec,
    bytes_of,
    unfit,
)
from imgcluster.config.reading import AS_SHOWN, SHARED, SHARED_PERCENTILES, Limits, Reading
from imgcluster.config.video import Video
from imgcluster.config.wording import OneOf

if TYPE_CHECKING:
    from typing_extensions import Self

AUTO_BACKBONE = "auto"
AutoRecord = Mapping[str, Any]


class Section(BaseModel):
    """A section of a config. Unknown keys and values of another type are errors."""

    # strict: neither true nor "5" is a number, so that a slip is reported instead of guessed at.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def _with_private(self, name: str, value: object) -> Self:
        """Return a copy with what is known of it beside its keys, such as the choice made for `backbone: auto`."""
        copied = self.model_copy()
        setattr(copied, name, value)
        return copied


class ImagesConfig(Section):
    """Which images, in which order."""

    folder: Folders = Field(
        description="folder of images, local or behind a URL; or a .tar, .zip or .parquet of images, or several by * "
        "or {000..009}; or a list of these, in which case each id starts with the name of its folder",
        examples=["data/stage/test", "s3://bucket/frames", "shards/train-{000..009}.tar", ["data/cats", "data/dogs"]],
    )
    include: Globs = Field(
        default=(),
        description="globs; only matching images are taken, such as '*.jpg' or 'train/**'; none: all",
        examples=[["train/**", "*_rgb.png"]],
    )
    exclude: Globs = Field(
        default=(),
        description="globs; matching images are left out, such as '*_mask.png' or the folder masks",
        examples=[["*_mask.png", "thumbs"]],
    )
    ids: PathText | None = Field(
        default=None,
        description="CSV, local or behind a URL, one image per row, in order; null: every image below the folder",
        examples=["data/stage/sample_submission.csv"],
    )
    id_column: Text | None = Field(
        default=None,
        description="column of image names in `ids`, or in a .parquet if there is no `ids`; null: the first one, or "
        "if its cells name no files, the one whose cells do",
        examples=["ImageID"],
    )
    column: Text | None = Field(
        default=None,
        description="column of a .parquet that holds the images; append [0] for the first of each row's list; null: "
        "the only one, or the one called image, img, jpg, jpeg, png or bytes",
        examples=["image_0", "images[0]"],
    )
    file: FilePatterns = Field(
        default="{id}.jpg",
        description="file of an id; **/ any folders, {id[:2]} a slice, .* any ending; a list: the one that exists",
        examples=["{id}.png", "**/{id}.png", "{id[0]}/{id[1]}/{id}.jpg", ["{id}.jpg", "{id}.png"]],
    )
    encoding: Encoding | None = Field(
        default=None,
        description="text encoding of `ids`; null: by its byte order mark, else UTF-8",
        examples=["cp1252"],
    )
    video: Video = Field(
        default=None,
        description="which frames of the videos in a folder become images; every: one each so long; frames: so many, "
        "evenly spread; shots: the middle frame of each shot; null: videos are left out",
        examples=[{"every": "1 s"}, {"frames": 20}, {"shots": True}],
    )
    pages: Literal["first", "all"] = Field(
        default="first",
        description="pages of the TIFFs in a folder that become images; all: each, with ids such as scan.tif#2; "
        "thumbnails and masks are no pages",
    )
    missing: Literal["stop", "skip"] = Field(
        default="stop", description="ids without a file: stop the run, or record them as failures (skip)"
    )
    on_error: Literal["record", "stop"] = Field(
        default="record", description="images that cannot be read: record them as failures, or stop the run"
    )

    bands: Bands = Field(
        default="auto",
        description="bands that are shown: three as red, green and blue, one as grey; auto: those the file names so, "
        "or the first ones",
        examples=[[4, 3, 2]],
    )
    range: ValueRange = Field(
        default="auto",
        description="values that become black and white; auto: 0 and the largest value of the depth, or of the bits "
        "in use; floats: the smallest and the largest; declared: without looking at the bits in use; percentile: the "
        "2nd and the 98th of each image; shared: one range for all images but those of 8 bits, the percentiles 0.1 and "
        "99.9 of 64 of them; {percentile | shared: [low, high]}: other percentiles; [min, max]: these values",
        examples=["shared", {"shared": [1, 99.8]}, [0, 4095]],
    )
    color: Literal["managed", "raw"] = Field(
        default="managed", description="managed: convert colours with an ICC profile to sRGB; raw: ignore profiles"
    )

    _limits: Limits | None = PrivateAttr(default=None)  # of `range: shared`, once the images have been looked at

    @model_validator(mode="after")
    def _has_a_column_of_a_parquet(self) -> ImagesConfig:
        if self.column is not None and not any(".parquet" in folder.lower() for folder in self.folders):
            raise unfit("column: it chooses a column of a .parquet, and images.folder names none; leave it out")
        return self

    @property
    def reading(self) -> Reading:
        """The choices of reading, as decoders take them."""
        bands = None if self.bands == "auto" else self.bands
        if self.shared_percentiles is not None:
            return Reading(bands, SHARED, self.color, limits=self._limits)
        if isinstance(self.range, dict):
            return Reading(bands, "percentile", self.color, _pair(self.range["percentile"]))
        return Reading(bands, self.range if isinstance(self.range, str) else _pair(self.range), self.color)

    @property
    def shared_percentiles(self) -> Limits | None:
        """The percentiles of a run's values that become black and white; None: `range` is not shared."""
        if isinstance(self.range, dict):
            return _pair(self.range[SHARED]) if SHARED in self.range else None
        return SHARED_PERCENTILES if self.range == SHARED else None

    def with_limits(self, limits: Limits | None) -> ImagesConfig:
        """Return the same section with the limits of `range: shared`."""
        return self._with_private("_limits", limits)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders and archives that hold the images, at least one."""
        return self.folder if isinstance(self.folder, tuple) else (self.folder,)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns by which an id becomes a file, at least one."""
        return self.file if isinstance(self.file, tuple) else (self.file,)


def _pair(values: tuple[float, ...]) -> Limits:
    return values[0], values[1]


class FeaturesConfig(Section):
    """How an image becomes a vector."""

    backbone: Backbones = Field(
        default="vgg16",
        description="pretrained network, or a list of networks whose features are concatenated; auto: the best one for "
        "clustering whose weights are on this machine or can be downloaded, and that this machine computes in "
        "reasonable time",
        examples=["vgg16", ["vgg16", "efficientnet_lite0"], "auto"],
    )
    layer: Layers = Field(
        default=None,
        description="layer to take features from, or a list of layers to concatenate; null: the backbone's default; "
        "with several backbones, a layer or list for each",
        examples=["fc6", "relu5_3", -2, ["relu3_3", "relu4_3", "fc6"], {"vgg16": ["relu5_3", "fc6"]}],
    )
    pooling: Literal["auto", "avg", "max", "gem", "rmac", "spp", "cls", "mean", "flatten"] = Field(
        default="auto", description="how a feature map or tokens become a vector; auto: the average, or the class token"
    )
    block_l2: bool = Field(default=False, description="scale each layer's features to length 1 before concatenation")
    block_weights: BlockWeights | None = Field(
        default=None,
        description="one weight per layer, in order; with several backbones, backbone by backbone",
        examples=[[1, 1, 0.5]],
    )
    weights: WeightsSpec = Field(
        default="imagenet",
        description="imagenet (pretrained), random, or a file with a state dict",
        examples=["my.pth"],
    )
    fallback: Annotated[str, OneOf(BUNDLED)] | None = Field(
        default="efficientnet_lite0",
        description="backbone to use, with a warning, if the weights are not available; null: stop instead, the "
        "default wherever `backbone` is set",
    )
    download: DownloadLimit = Field(
        default="400 MB",
        description="largest download of `backbone: auto`; any: of any size, as with --yes; never: nothing, for no "
        "backbone",
        examples=["400 MB", "never"],
    )
    preprocess: Preprocess = Field(
        default="backbone",
        description="how pixels become input; backbone: as for its training; squash: the same, with the entire image "
        "resized to a square; letterbox: the same, with the entire image padded to a square; stage: the Stage "
        "Prediction task's",
        examples=["stage", [{"resize": 256}, {"center_crop": 224}, "rgb", {"normalize": "imagenet"}]],
    )
    views: Literal["center", "flip", "whole", "five_crops", "ten_crops"] = Field(
        default="center",
        description="which crops are used; their features are averaged; center: the centre crop; flip: it and its "
        "mirror image; whole: it and the entire image resized to a square; five_crops: corners and centre; ten_crops: "
        "these and their mirror images",
    )
    device: Device = Field(
        default="auto",
        description="where the network runs; auto: a GPU if there is one; with several, one process on each",
        examples=["cuda:1", ["cuda:0", "cuda:1"]],
    )
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "int8"] = Field(
        default="auto",
        description="number format; auto: bf16 where the hardware is faster with it and the network tolerates it; "
        "int8: fastest on a CPU and least exact, calibrated on 40 of the images, which the store keeps",
    )
    runtime: Literal["auto", "torch", "torch_compile", "openvino"] = Field(
        default="auto", description="what executes the network; auto: openvino on a CPU if it can, else torch"
    )
    batch_size: Literal["auto"] | Count = Field(default="auto", description="images per batch", examples=[64])
    store: PathText = Field(default="outputs/features", description="folder that keeps features between runs")
    file: FeaturesFile | None = Field(
        default=None,
        description="file of features computed elsewhere, matched by id; the other keys of this section are ignored "
        "then, except `file_columns`",
        examples=["features.npz"],
    )
    file_columns: FileColumns | None = Field(
        default=None,
        description="columns or arrays of `file` that hold the vectors: a name, or the prefix of numbered columns; "
        "null: the one column of lists, or the numbered columns",
        examples=["vector", "feat_", ["resnet_", "vgg_"]],
    )

    _reading: Reading = PrivateAttr(default=AS_SHOWN)  # that of the section `images`
    _auto: AutoRecord | None = PrivateAttr(default=None)  # what `backbone: auto` has chosen

    @property
    def reading(self) -> Reading:
        """How image files become pixels: the choices of the section `images`, which shape the features too."""
        return self._reading

    def read_as(self, reading: Reading) -> FeaturesConfig:
        """Return the same section with other choices of reading."""
        return self._with_private("_reading", reading)

    @property
    def auto(self) -> AutoRecord | None:
        """What `backbone: auto` has chosen and why, as run.json has it; None before, and for a named backbone."""
        return self._auto

    def chosen(self, record: AutoRecord) -> FeaturesConfig:
        """Return the same section with the choice of `backbone: auto` made."""
        return self._with_private("_auto", record)

    @property
    def needs_choice(self) -> bool:
        """Whether the backbone is `auto`, and not chosen yet."""
        return self.backbone == AUTO_BACKBONE and self._auto is None

    @property
    def max_download_bytes(self) -> float:
        """The largest download without asking: 0 for `never`, infinity for `any`."""
        return bytes_of(self.download)

    @model_validator(mode="before")
    @classmethod
    def _stops_for_a_backbone_asked_for(cls, given: Any) -> Any:
        """Turn the fallback off if the config sets a backbone and no fallback."""
        if isinstance(given, Mapping) and "backbone" in given and "fallback" not in given:
            return {**given, "fallback": None}
        return given

    @model_validator(mode="after")
    def _fits_several_backbones(self) -> FeaturesConfig:
        names = self.backbones
        if self.backbone == AUTO_BACKBONE and self.layer is not None:
            raise unfit("layer: a layer belongs to a backbone, and `backbone: auto` may take any; leave it out")
        if self.backbone == AUTO_BACKBONE and self.weights not in ("imagenet", "random"):
            raise unfit("weights: a file fits one backbone; name it instead of `backbone: auto`")
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
        """The configured backbones, at least one; of `auto`, those chosen, and before that `auto` itself."""
        if self._auto is not None:
            return tuple(self._auto["backbone"])
        return self.backbone if isinstance(self.backbone, tuple) else (self.backbone,)

    def layers_of(self, backbone: str) -> tuple[str | int, ...]:
        """Return the configured layers of a backbone; empty for its default layer."""
        layer = self.layer.get(backbone) if isinstance(self.layer, dict) else self.layer
        if layer is None:
            return ()
        return layer if isinstance(layer, tuple) else (layer,)
