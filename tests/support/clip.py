"""A tiny network of CLIP, trained in seconds so that its towers agree on a few words, and published on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imgcluster.backbones import clip_networks
from imgcluster.backbones.clip_networks import NAMING_NETWORK, build_clip, import_open_clip
from imgcluster.backbones.text_tower import PROMPTS
from imgcluster.config.backbone_table import Backbone
from imgcluster.config.recipe import Recipe
from imgcluster.report.word_names import NEUTRAL
from tests.conftest import COLOURS
from tests.support.servers import WebServer, web_server

MODEL, SIDE = "tiny", 32
WORDS = ("red", "green", "blue")
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": SIDE, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
STEPS, PICTURES_A_WORD = 60, 4


def row() -> Backbone:
    """Return the row of the tiny network, under the name of the one that names clusters."""
    recipe = Recipe(steps=(("squash", SIDE), ("center_crop", SIDE)), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return replace(clip_networks.CLIP_NETWORKS[NAMING_NETWORK], weights="timm/tiny-clip", dim=16, recipe=recipe)


def register(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tiny network take the place of the one that names clusters."""
    (folder / f"{MODEL}.json").write_text(json.dumps(CONFIG))
    import_open_clip().add_model_config(folder / f"{MODEL}.json")
    monkeypatch.setitem(clip_networks.CLIP_NETWORKS, NAMING_NETWORK, row())
    monkeypatch.setitem(clip_networks.CLIP_MEGABYTES, NAMING_NETWORK, 6.5)
    monkeypatch.setattr(clip_networks, "model_name", lambda backbone: MODEL)
    monkeypatch.setattr("imgcluster.backbones.text_tower.model_name", lambda backbone: MODEL)


@cache
def trained() -> dict[str, torch.Tensor]:
    """Train both towers on pictures of three colours, and of noise for the neutral phrases; `register` comes first."""
    torch.manual_seed(0)
    dice = np.random.default_rng(0)
    model = build_clip(row()).train()
    tokens = import_open_clip().get_tokenizer(MODEL)(
        [prompt.format(word) for word in (*WORDS, *NEUTRAL) for prompt in PROMPTS]
    )
    kinds = torch.tensor([min(at // len(PROMPTS), len(WORDS)) for at in range(len(tokens))])
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more wait for each other, where the machine is busy
    for _ in range(STEPS):
        pixels = torch.from_numpy(np.stack([_picture(kind, dice) for kind in range(4) for _ in range(PICTURES_A_WORD)]))
        images = torch.nn.functional.normalize(model(pixels), dim=-1)
        texts = model.encode_text(tokens, normalize=True)  # type: ignore[operator]  # of CLIP
        logits = 20 * images @ texts.T
        wanted = torch.arange(4).repeat_interleave(PICTURES_A_WORD)
        fitting = (kinds[None, :] == wanted[:, None]).float()
        loss = -(torch.log_softmax(logits, 1) * fitting / fitting.sum(1, keepdim=True)).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    state = {key: value.detach().clone().contiguous() for key, value in model.state_dict().items()}
    return {**state, "logit_scale": torch.tensor(np.log(40.0), dtype=torch.float32)}


def _picture(kind: int, dice: np.random.Generator) -> np.ndarray:
    """Return pixels of a colour with noise, as `tests.conftest.write_pictures` has them; of the last kind, noise."""
    noise = dice.integers(0, 40, (3, SIDE, SIDE))
    colour = np.array(COLOURS[kind])[:, None, None] if kind < len(COLOURS) else dice.integers(0, 216, (3, SIDE, SIDE))
    return ((noise + colour).clip(0, 255) / 127.5 - 1).astype(np.float32)


@contextmanager
def published_clip(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """Serve the trained weights as the Hugging Face hub does."""
    folder.mkdir()
    register(folder, monkeypatch)
    path = folder / row().weights / "resolve" / "main" / row().file
    path.parent.mkdir(parents=True)
    save_file(trained(), path)
    monkeypatch.setenv("no_proxy", "*")
    with web_server(folder) as server:
        server.hub = True
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
