"""A catalogue of small networks with weights of their own, published by a server on loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from imgcluster.backbones import auto, inventory
from imgcluster.backbones.auto import Candidate
from imgcluster.backbones.networks import random_network
from imgcluster.backbones.select import find_backbone
from imgcluster.config.backbone_table import BACKBONES
from tests.support.servers import WebServer, web_server

VIT, CNN = "timm:test_vit.r160_in1k@96", "shufflenet_v2_x0_5"
LAST = "efficientnet_lite0"


@contextmanager
def published(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """Serve the weights of both networks, the only candidates of `backbone: auto` beside the last resort."""
    folder.mkdir()
    torch.save(random_network(BACKBONES[CNN]).state_dict(), folder / BACKBONES[CNN].file)
    data = (folder / BACKBONES[CNN].file).read_bytes()
    row = replace(BACKBONES[CNN], sha256=hashlib.sha256(data).hexdigest(), megabytes=len(data) / 2**20)
    monkeypatch.setitem(BACKBONES, CNN, row)
    vit = find_backbone(VIT)
    path = folder / vit.weights / "resolve" / "main" / vit.file
    path.parent.mkdir(parents=True)
    save_file(random_network(find_backbone(VIT.partition("@")[0])).state_dict(), path)
    candidates = (Candidate((VIT,), 0.1, path.stat().st_size / 2**20), Candidate((CNN,), 0.1, row.megabytes or 0))
    for module in (auto, inventory):
        monkeypatch.setattr(module, "CANDIDATES", (*candidates, Candidate((LAST,), 0.8, 18.0)))
    monkeypatch.setattr(auto, "cpu_gigaflops", lambda: 100.0)
    monkeypatch.setenv("no_proxy", "*")
    with web_server(folder) as server:
        server.hub = True
        monkeypatch.setenv("IMGCLUSTER_WEIGHTS_MIRROR", server.url)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
