"""How much of a GPU is used: by the network alone, and from files to features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from imgcluster import ImageFile, list_images
from imgcluster.backbones.runtimes.torch_runtime import TorchRuntime
from imgcluster.config.loader import FeaturesConfig
from imgcluster.images import preprocess_gpu as on_device
from imgcluster.images.decode import decode_image
from tests.benchmarks.clock import Side, median_ratio, seconds, take_turns
from tests.benchmarks.extraction import network_alone, write_jpegs
from tests.benchmarks.inputs import stage_config
from tests.benchmarks.ours import OurLoop
from tests.benchmarks.published import PublishedLoop
from tests.benchmarks.rows import Row

SIDE = 448
TERAFLOP_AN_IMAGE = 0.1227  # VGG16 to fc6 at 448 px
TERAFLOPS_OF_MATMUL = 790  # measured on an H200 in bf16
EMBEDDED = "efficientnet_lite0"
IN_THE_NETWORK = 2  # so many times as many pictures where the network is alone


@dataclass(frozen=True)
class Amount:
    """How much work is measured: of the network alone, in passes of a batch, and of loops, in frames and rounds."""

    passes: int
    batch: int
    frames: int
    published: int
    rounds: int


AMOUNTS = {False: Amount(50, 64, 4096, 64, 5), True: Amount(5, 64, 512, 64, 2)}  # by --quick


def gpu(quick: bool) -> Iterator[Row]:
    """VGG16 to fc6 at 448 px, and the embedded default, on the first GPU, where there is one."""
    if torch.cuda.is_available():
        yield from stage_rows("cuda", AMOUNTS[quick])
        yield from embedded_rows("cuda", AMOUNTS[quick])
    else:
        yield Row("gpu", "skipped: no CUDA device")


def stage_rows(device: str, amount: Amount) -> Iterator[Row]:
    """The stage recipe, whose pictures are prepared on the CPU: against what bounds it, and the published loop."""
    with TemporaryDirectory() as folder:
        own = Path(folder)
        frames = _copies(list_images(stage_config(own).images)[0], amount.frames, own)
        ours, compiled = (_stage_loop(own, device, runtime) for runtime in ("torch", "torch_compile"))
        published = PublishedLoop(device)
        yield _arithmetic(_network_of(ours), torch.device(device), amount)
        rates = _take_turns_warm(
            {
                "published": lambda _: published(frames[: amount.published]),
                "ours": lambda _: ours(frames),
                "decoding": lambda _: _decode_all(frames, ours.recipe.least),
                "network": network_alone(ours, IN_THE_NETWORK * amount.frames),
                "compiled": network_alone(compiled, IN_THE_NETWORK * amount.frames),
            },
            amount.rounds,
        )
    yield _row("files to features, against the published loop", rates["ours"], rates["published"], ">= 20")
    yield _against_the_slower("files to features", rates)
    yield _row("network, torch_compile against torch", rates["compiled"], rates["network"])


def embedded_rows(device: str, amount: Amount) -> Iterator[Row]:
    """The embedded default, whose pictures are resized on the GPU: against what bounds it, and resizing on the CPU."""
    with TemporaryDirectory() as own:
        images = write_jpegs(Path(own) / "jpegs", amount.frames)
        ours = OurLoop(FeaturesConfig(backbone=EMBEDDED, device=device, runtime="torch", store=f"{own}/store"))
        rates = _take_turns_warm(
            {
                "ours": lambda _: ours(images),
                "resized on the CPU": lambda _: _resizing_on_the_cpu(ours, images),
                "decoding": lambda _: _decode_all(images, ours.recipe.least),
                "network": network_alone(ours, IN_THE_NETWORK * amount.frames),
            },
            amount.rounds,
        )
    yield _row(f"{EMBEDDED}, resized there against on the CPU", rates["ours"], rates["resized on the CPU"])
    yield _against_the_slower(EMBEDDED, rates)


def _take_turns_warm(sides: Mapping[str, Side], rounds: int) -> dict[str, list[float]]:
    """Take turns after a first one, by which networks are compiled, algorithms chosen and memory is held."""
    take_turns(sides, 1)
    return take_turns(sides, rounds)


def _stage_loop(own: Path, device: str, runtime: str) -> OurLoop:
    return OurLoop(stage_config(own, f"features.device={device}", f"features.runtime={runtime}").features)


def _network_of(loop: OurLoop) -> nn.Module:
    assert isinstance(loop.runtime, TorchRuntime)
    return loop.runtime.network


def _copies(images: list[ImageFile], count: int, own: Path) -> list[ImageFile]:
    """Frames enough to keep a GPU busy: each with other bytes behind its end, since equal files are computed once."""
    copies = [ImageFile(f"{number:05d}", own / f"{number:05d}.jpg") for number in range(count)]
    for number, copy in enumerate(copies):
        copy.path.write_bytes(images[number % len(images)].path.read_bytes() + number.to_bytes(4, "big"))
    return copies


def _decode_all(images: Sequence[ImageFile], least: int | None) -> Sequence[ImageFile]:
    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(lambda image: decode_image(image.path.read_bytes(), least).size, images))
    return images


def _resizing_on_the_cpu(loop: OurLoop, images: Sequence[ImageFile]) -> np.ndarray:
    with patch.object(on_device, "resizes_here", lambda _: False):
        return loop(images)


@torch.inference_mode()
def _arithmetic(network: nn.Module, device: torch.device, amount: Amount) -> Row:
    dtype = next(network.parameters()).dtype
    batch = torch.rand((amount.batch, 3, SIDE, SIDE), device=device).to(dtype, memory_format=torch.channels_last)

    def work(times: int) -> None:
        for _ in range(times):
            network(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    work(3)  # until the convolutions have chosen their algorithms
    achieved = amount.passes * amount.batch * TERAFLOP_AN_IMAGE / seconds(lambda: work(amount.passes))
    share = achieved / TERAFLOPS_OF_MATMUL
    figure = f"network alone, {SIDE} px, {str(dtype).removeprefix('torch.')}, batch {amount.batch}"
    return Row("gpu", figure, f"{achieved:.0f} TFLOP/s", f"{TERAFLOPS_OF_MATMUL} TFLOP/s", f"{share:.2f}", ">= 0.55")


def _against_the_slower(figure: str, rates: dict[str, list[float]]) -> Row:
    slower = [min(pair) for pair in zip(rates["decoding"], rates["network"], strict=True)]
    which = min(("decoding", "network"), key=lambda side: median(rates[side]))
    return _row(f"{figure}, against {which} alone", rates["ours"], slower, ">= 0.85")


def _row(figure: str, ours: list[float], theirs: list[float], aim: str = "") -> Row:
    ratio = f"{median_ratio(ours, theirs):.2f}"
    return Row("gpu", figure, f"{median(ours):.0f} img/s", f"{median(theirs):.0f} img/s", ratio, aim)
