"""Names used by other tools, and their equivalents here, as plain data."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

LINKAGE = "with clusters.parameters: {{linkage: {0}}}"
TIMM = "timm:"

# By the name without case, blanks, dashes and underscores: the name here, and what more has to be said of it.
METHODS = {
    "gmm": ("gaussian_mixture", ""),
    "em": ("gaussian_mixture", ""),
    "mog": ("gaussian_mixture", ""),
    "mixture": ("gaussian_mixture", ""),
    "lloyd": ("kmeans", ""),
    "kmeans++": ("kmeans", ""),
    "faiss": ("kmeans", "it runs on the GPU where there is one"),
    "mbkmeans": ("minibatch_kmeans", ""),
    "minibatch": ("minibatch_kmeans", ""),
    "bisecting": ("bisecting_kmeans", ""),
    "ward": ("agglomerative", "ward is its default linkage"),
    "hierarchical": ("agglomerative", ""),
    "hierarchy": ("agglomerative", ""),
    "hac": ("agglomerative", ""),
    "ahc": ("agglomerative", ""),
    "linkage": ("agglomerative", ""),
    "average": ("agglomerative", LINKAGE.format("average")),
    "complete": ("agglomerative", LINKAGE.format("complete")),
    "single": ("agglomerative", LINKAGE.format("single")),
    "optics": ("hdbscan", ""),
    "density": ("hdbscan", ""),
    "ap": ("affinity_propagation", ""),
    "affinity": ("affinity_propagation", ""),
    "ncut": ("spectral", ""),
    "graph": ("diffusion", ""),
    "louvain": ("diffusion", ""),
    "leiden": ("diffusion", ""),
    "default": ("auto", ""),
    "best": ("auto", ""),
    "classifier": ("learned", ""),
    "supervised": ("learned", ""),
}
BACKBONES = {
    "dino": (f"{TIMM}vit_small_patch16_224.dino", ""),
    "dinov2": (f"{TIMM}vit_small_patch14_dinov2.lvd142m", ""),
    "dinov2vits14": (f"{TIMM}vit_small_patch14_dinov2.lvd142m", ""),
    "dinov2vitb14": (f"{TIMM}vit_base_patch14_dinov2.lvd142m", ""),
    "dinov2vitl14": (f"{TIMM}vit_large_patch14_dinov2.lvd142m", ""),
    "facebook/dinov2small": (f"{TIMM}vit_small_patch14_dinov2.lvd142m", ""),
    "facebook/dinov2base": (f"{TIMM}vit_base_patch14_dinov2.lvd142m", ""),
    "facebook/dinov2large": (f"{TIMM}vit_large_patch14_dinov2.lvd142m", ""),
    "clip": (f"{TIMM}vit_base_patch32_clip_224.openai", ""),
    "openclip": (f"{TIMM}vit_base_patch32_clip_224.openai", ""),
    "vitb/32": (f"{TIMM}vit_base_patch32_clip_224.openai", ""),
    "vitb/16": (f"{TIMM}vit_base_patch16_clip_224.openai", ""),
    "vitl/14": (f"{TIMM}vit_large_patch14_clip_224.openai", ""),
    "openai/clipvitbasepatch32": (f"{TIMM}vit_base_patch32_clip_224.openai", ""),
    "openai/clipvitlargepatch14": (f"{TIMM}vit_large_patch14_clip_224.openai", ""),
    "siglip": (f"{TIMM}vit_base_patch16_siglip_224.webli", ""),
    "mae": (f"{TIMM}vit_base_patch16_224.mae", ""),
    "beit": (f"{TIMM}beit_base_patch16_224.in22k_ft_in22k_in1k", ""),
    "deit": (f"{TIMM}deit_small_patch16_224.fb_in1k", ""),
    "eva": (f"{TIMM}eva02_base_patch14_224.mim_in22k", ""),
    "eva02": (f"{TIMM}eva02_base_patch14_224.mim_in22k", ""),
    "convnextv2": (f"{TIMM}convnextv2_tiny.fcmae_ft_in1k", ""),
    "vit": ("vit_b_16", ""),
    "vitb16": ("vit_b_16", ""),
    "swin": ("swin_t", ""),
    "swinv2": ("swin_v2_t", ""),
    "vgg": ("vgg16", ""),
    "resnet": ("resnet50", ""),
    "resnext": ("resnext50_32x4d", ""),
    "wideresnet": ("wide_resnet50_2", ""),
    "efficientnet": ("efficientnet_lite0", "its weights are installed"),
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
    "k": "clusters.n_clusters",
    "n": "clusters.n_clusters",
    "clusters": "clusters.n_clusters",
    "numclusters": "clusters.n_clusters",
    "ncomponents": "clusters.n_clusters",
    "algorithm": "clusters.method",
    "clustering": "clusters.method",
    "seed": "clusters.random_state",
    "pca": "clusters.transform",
    "eps": "clusters.parameters",
    "linkage": "clusters.parameters",
    "model": "features.backbone",
    "network": "features.backbone",
    "arch": "features.backbone",
    "encoder": "features.backbone",
    "extractor": "features.backbone",
    "layers": "features.layer",
    "gpu": "features.device",
    "cuda": "features.device",
    "batch": "features.batch_size",
    "checkpoint": "features.weights",
    "cache": "features.store",
    "input": "images.folder",
    "inputs": "images.folder",
    "images": "images.folder",
    "data": "images.folder",
    "dir": "images.folder",
    "folder": "images.folder",
    "path": "images.folder",
    "template": "images.ids",
    "csv": "images.ids",
    "out": "outputs.folder",
    "o": "outputs.folder",
    "output": "outputs.folder",
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
