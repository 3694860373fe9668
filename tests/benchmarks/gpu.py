"""How much of a GPU the stage recipe uses, by the network alone and from files to features."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import nn

from imgcluster import ImageFile, list_images
from tests.benchmarks.clock import Side, median_ratio, seconds, take_turns
from tests.benchmarks.inputs import stage_config
from tests.benchmarks.ours import OurLoop
from tests.benchmarks.published import PublishedLoop
from tests.benchmarks.rows import Row

SIDE = 448
TERAFLOP_AN_IMAGE = 0.1227  # VGG16 to fc6 at 448 px
TERAFLOPS_OF_MATMUL = 790  # measured on an H200 in bf16
BATCH = 64
PASSES = {False: 50, True: 5}  # by --quick
FRAMES = {False: 2048, True: 256}
PUBLISHED_FRAMES = 64
ROUNDS = {False: 5, True: 2}


def gpu(quick: bool) -> Iterator[Row]:
    """VGG16 to fc6 at 448 px on the first GPU, where there is one."""
    if torch.cuda.is_available():
        yield from _measured("cuda", quick)
    else:
        yield Row("gpu", "skipped: no CUDA device")


def _measured(device: str, quick: bool) -> Iterator[Row]:
    with TemporaryDirectory() as folder:
        own = Path(folder)
        images = list_images(stage_config(own).images)[0]
        frames = _copies(images, FRAMES[quick], own)
        ours = OurLoop(stage_config(own, f"features.device={device}").features)
        published = PublishedLoop(device)
        sides: dict[str, Side] = {
            "published": lambda _: published(frames[:PUBLISHED_FRAMES]),
            "ours": lambda _: ours(frames),
        }
        take_turns(sides, 1)  # until everything is warm, our network converted
        yield _network_alone(ours.runtime.network, torch.device(device), PASSES[quick])
        rates = take_turns(sides, ROUNDS[quick])
    yield _end_to_end(rates["ours"], rates["published"])


def _copies(images: list[ImageFile], count: int, own: Path) -> list[ImageFile]:
    """Frames enough to keep a GPU busy: each with other bytes behind its end, since equal files are computed once."""
    copies = [ImageFile(f"{number:05d}", own / f"{number:05d}.jpg") for number in range(count)]
    for number, copy in enumerate(copies):
        copy.path.write_bytes(images[number % len(images)].path.read_bytes() + number.to_bytes(4, "big"))
    return copies


@torch.inference_mode()
def _network_alone(network: nn.Module, device: torch.device, passes: int) -> Row:
    dtype = next(network.parameters()).dtype
    batch = torch.rand((BATCH, 3, SIDE, SIDE), device=device).to(dtype, memory_format=torch.channels_last)

    def work(times: int) -> None:
        for _ in range(times):
            network(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    work(3)  # until the convolutions have chosen their algorithms
    achieved = passes * BATCH * TERAFLOP_AN_IMAGE / seconds(lambda: work(passes))
    share = achieved / TERAFLOPS_OF_MATMUL
    figure = f"network alone, {SIDE} px, {str(dtype).removeprefix('torch.')}, batch {BATCH}"
    return Row("gpu", figure, f"{achieved:.0f} TFLOP/s", f"{TERAFLOPS_OF_MATMUL} TFLOP/s", f"{share:.2f}")


def _end_to_end(ours: list[float], theirs: list[float]) -> Row:
    ratio = f"{median_ratio(ours, theirs):.2f}"
    figure = "files to features, network built before"
    return Row("gpu", figure, f"{median(ours):.0f} img/s", f"{median(theirs):.0f} img/s", ratio)
