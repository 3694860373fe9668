"""The names an older feature extractor has for its networks, and what each means here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OldName:
    """The backbone an old name stands for, the vector's length, and the layer that was read (None: the default)."""

    backbone: str
    dim: int
    layer: str | None = None


# timm's with the tag of their weights: without it, another version may mean other ones.
OLD_NAMES = {
    "inception_v1": OldName("googlenet", 1024),
    "inception_v4": OldName("timm:inception_v4.tf_in1k", 1536),
    "inception_resnet_v2": OldName("timm:inception_resnet_v2.tf_in1k", 1536),
    "resnet_v1_50": OldName("resnet50", 2048),
    "resnet_v1_101": OldName("resnet101", 2048),
    "resnet_v1_152": OldName("resnet152", 2048),
    "resnet_v2_50": OldName("timm:resnetv2_50.a1h_in1k", 2048),
    "resnet_v2_101": OldName("timm:resnetv2_101.a1h_in1k", 2048),
    "resnet_v2_152": OldName("timm:resnetv2_152", 2048),  # timm has the network, and no weights for it
    "vgg_16": OldName("vgg16", 1000, "fc8"),
    "vgg_19": OldName("vgg19", 1000, "fc8"),
    "mobilenet_v1": OldName("timm:mobilenetv1_100.ra4_e3600_r224_in1k", 1024),
    "nasnet_large": OldName("timm:nasnetalarge.tf_in1k", 4032),
    "pnasnet_large": OldName("timm:pnasnet5large.tf_in1k", 4320),
}

REFUSED = {
    "inception_v2": "nobody offers its weights; the nearest are inception_v3 and inception_v1",
    "nasnet_mobile": "nobody offers its weights; the nearest are nasnet_large and mnasnet1_0",
}
