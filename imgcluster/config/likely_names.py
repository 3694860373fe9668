"""Names used by other tools, and their equivalents here, as plain data."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

LINKAGE = "with clusters.parameters: {{linkage: {0}}}"
TIMM = "timm:"

# By the name without case, blanks, dashes and underscores: the name here, and what more has to be said of it.
METHODS = {
    **dict.fromkeys(("gmm", "em", "mog", "mixture"), ("gaussian_mixture", "")),
    **dict.fromkeys(("lloyd", "kmeans++"), ("kmeans", "")),
    "faiss": ("kmeans", "it runs on the GPU where there is one"),
    **dict.fromkeys(("mbkmeans", "minibatch"), ("minibatch_kmeans", "")),
    "bisecting": ("bisecting_kmeans", ""),
    "ward": ("agglomerative", "ward is its default linkage"),
    **dict.fromkeys(("hierarchical", "hierarchy", "hac", "ahc", "linkage"), ("agglomerative", "")),
    "average": ("agglomerative", LINKAGE.format("average")),
    "complete": ("agglomerative", LINKAGE.format("complete")),
    "single": ("agglomerative", LINKAGE.format("single")),
    **dict.fromkeys(("optics", "density"), ("hdbscan", "")),
    **dict.fromkeys(("ap", "affinity"), ("affinity_propagation", "")),
    "ncut": ("spectral", ""),
    **dict.fromkeys(("graph", "louvain", "leiden"), ("diffusion", "")),
    **dict.fromkeys(("default", "best"), ("auto", "")),
    **dict.fromkeys(("classifier", "supervised"), ("learned", "")),
}
BACKBONES = {
    "dino": (f"{TIMM}vit_small_patch16_224.dino", ""),
    **dict.fromkeys(
        ("dinov2", "dinov2vits14", "facebook/dinov2small"), (f"{TIMM}vit_small_patch14_dinov2.lvd142m", "")
    ),
    **dict.fromkeys(("dinov2vitb14", "facebook/dinov2base"), (f"{TIMM}vit_base_patch14_dinov2.lvd142m", "")),
    **dict.fromkeys(("dinov2vitl14", "facebook/dinov2large"), (f"{TIMM}vit_large_patch14_dinov2.lvd142m", "")),
    **dict.fromkeys(
        ("clip", "openclip", "vitb/32", "openai/clipvitbasepatch32"), (f"{TIMM}vit_base_patch32_clip_224.openai", "")
    ),
    "vitb/16": (f"{TIMM}vit_base_patch16_clip_224.openai", ""),
    **dict.fromkeys(("vitl/14", "openai/clipvitlargepatch14"), (f"{TIMM}vit_large_patch14_clip_224.openai", "")),
    "siglip": (f"{TIMM}vit_base_patch16_siglip_224.webli", ""),
    "mae": (f"{TIMM}vit_base_patch16_224.mae", ""),
    "beit": (f"{TIMM}beit_base_patch16_224.in22k_ft_in22k_in1k", ""),
    "deit": (f"{TIMM}deit_small_patch16_224.fb_in1k", ""),
    **dict.fromkeys(("eva", "eva02"), (f"{TIMM}eva02_base_patch14_224.mim_in22k", "")),
    "convnextv2": (f"{TIMM}convnextv2_tiny.fcmae_ft_in1k", ""),
    **dict.fromkeys(("vit", "vitb16"), ("vit_b_16", "")),
    "swin": ("swin_t", ""),
    "swinv2": ("swin_v2_t", ""),
    "vgg": ("vgg16", ""),
    "resnet": ("resnet50", ""),
    "resnext": ("resnext50_32x4d", ""),
    "wideresnet": ("wide_resnet50_2", ""),
    **dict.fromkeys(("efficientnet", "efficientnetlite"), ("efficientnet_lite0", "its weights are installed")),
    "efficientnetv2": ("efficientnet_v2_s", ""),
    "convnext": ("convnext_tiny", ""),
    "densenet": ("densenet121", ""),
    "mobilenet": ("mobilenet_v3_large", ""),
    "inception": ("inception_v3", ""),
    "regnet": ("regnet_y_3_2gf", ""),
    "maxvit": ("maxvit_t", ""),
    "squeezenet": ("squeezenet1_1", ""),
    "shufflenet": ("shufflenet_v2_x1_0", ""),
    "mnasnet": ("mnasnet1_0", ""),
}
OTHERS = {"gpu": ("cuda", "")}
# As a key of a config that there is not, or as an option of a command over a config.
KEYS = {
    **dict.fromkeys(("k", "n", "clusters", "numclusters", "ncomponents"), "clusters.n_clusters"),
    **dict.fromkeys(("algorithm", "clustering"), "clusters.method"),
    "seed": "clusters.random_state",
    "pca": "clusters.transform",
    **dict.fromkeys(("eps", "linkage"), "clusters.parameters"),
    **dict.fromkeys(("model", "network", "arch", "encoder", "extractor"), "features.backbone"),
    "layers": "features.layer",
    **dict.fromkeys(("gpu", "cuda"), "features.device"),
    "batch": "features.batch_size",
    "checkpoint": "features.weights",
    "cache": "features.store",
    **dict.fromkeys(("input", "inputs", "images", "data", "dir", "folder", "path"), "images.folder"),
    **dict.fromkeys(("template", "csv"), "images.ids"),
    **dict.fromkeys(("out", "o", "output"), "outputs.folder"),
}


def likely(text: str, names: Iterable[str]) -> str | None:
    """Return which of the names a text probably means, and what is to be said of it; None where none is near.

    Names known from elsewhere come first, then slips of the keyboard and of the shift key.
    """
    names = list(names)
    near = near_name(text, names)
    return known_elsewhere(text, names) or (None if near is None else repr(near))


def near_name(text: str, names: Iterable[str]) -> str | None:
    """Return the name that a slip of the keyboard, or the shift key, may have turned into this text."""
    return next((name for name in get_close_matches(text.lower(), list(names), n=1) if name != text), None)


def known_elsewhere(text: str, names: Iterable[str]) -> str | None:
    """Return what a name that people know is called here, where that is among the names or one of timm's backbones."""
    names, plain = list(names), _plain(text)
    for table in (METHODS, BACKBONES, OTHERS):
        name, words = table.get(plain, ("", ""))
        if name in names or (name.startswith(TIMM) and "vgg16" in names):
            return f"{name!r}" + (f" ({words})" if words else "")
    return next((repr(name) for name in names if _plain(name) == plain and name != text), None)


def likely_key(text: str, keys: Collection[str]) -> str | None:
    """Return the key of a config, `section.key`, that a text probably means; keys: all of them."""
    plain = _plain(text.rpartition(".")[2])
    ends = [key for key in keys if _plain(key.partition(".")[2]) == plain]
    return next(iter(ends), None) or KEYS.get(plain)


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text.lower())
