"""Bad surroundings: homes, disks, limits, terminals and variables as servers, containers and clusters have them."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.bad_input import CONFIG, RUN, case

GROUP = "surroundings"
DONE = "written +out/submission.csv"
DECADES = 40 * 365 * 24 * 3600
LOCAL = CONFIG.replace("efficientnet_lite0", "squeezenet1_1, weights: random, runtime: torch")


def nothing(own: Path) -> None:
    """Leave the folder as it is: what is bad is around it."""


def unconverted(own: Path) -> None:
    """Take a network that is not converted at first, for which seconds pass where no cache keeps it."""
    (own / "config.yaml").write_text(LOCAL)


# By name: variables, what is said, and how it ends.
VARIABLES: dict[str, tuple[Mapping[str, str], str, int]] = {
    "a home that does not exist": ({"HOME": "nowhere/home", "IMGCLUSTER_CACHE": "", "XDG_CACHE_HOME": ""}, DONE, 0),
    "a home that is a file": ({"HOME": "config.yaml", "IMGCLUSTER_CACHE": "", "XDG_CACHE_HOME": ""}, DONE, 0),
    "a cache that is a file": ({"IMGCLUSTER_CACHE": "config.yaml"}, DONE, 0),
    "a relative cache": ({"IMGCLUSTER_CACHE": "here/../cache"}, DONE, 0),
    "a cache below a device": ({"IMGCLUSTER_CACHE": "/dev/null/cache"}, DONE, 0),
    "TMPDIR that does not exist": ({"TMPDIR": "nowhere"}, DONE, 0),
    "TMPDIR that is a file": ({"TMPDIR": "config.yaml"}, DONE, 0),
    "COLUMNS=1": ({"COLUMNS": "1"}, DONE, 0),
    "COLUMNS=abc": ({"COLUMNS": "abc"}, DONE, 0),
    "COLUMNS=0": ({"COLUMNS": "0"}, DONE, 0),
    "TERM=dumb": ({"TERM": "dumb"}, DONE, 0),
    "OMP_NUM_THREADS=0": ({"OMP_NUM_THREADS": "0"}, DONE, 0),
    "OMP_NUM_THREADS=abc": ({"OMP_NUM_THREADS": "abc"}, DONE, 0),
    "PYTHONUTF8=0": ({"PYTHONUTF8": "0"}, DONE, 0),
    "PYTHONOPTIMIZE=2": ({"PYTHONOPTIMIZE": "2"}, DONE, 0),
    "PYTHONWARNINGS=error": ({"PYTHONWARNINGS": "error::ResourceWarning"}, DONE, 0),
    "a proxy that is nowhere": ({"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}, DONE, 0),
    "a time zone that does not exist": ({"TZ": "Mars/Olympus"}, DONE, 0),
}
for _name, (_environment, _says, _code) in VARIABLES.items():
    case(_name, GROUP, _says, exit_code=_code, environment=_environment)(
        unconverted if "IMGCLUSTER_CACHE" in _environment else nothing
    )


def named_by_emoji(own: Path) -> None:
    (own / "pictures").rename(own / "Fotos \N{CAMERA WITH FLASH} \u00e4")
    (own / "config.yaml").write_text(CONFIG.replace("pictures", "Fotos \N{CAMERA WITH FLASH} \u00e4"), encoding="utf-8")
    (own / "Fotos \N{CAMERA WITH FLASH} \u00e4" / "0003.jpg").rename(
        own / "Fotos \N{CAMERA WITH FLASH} \u00e4" / "\N{DOG FACE}.jpg"
    )


IN_ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
for _name, _environment, _says, _code in (
    ("names of emoji, and LC_ALL=C", {"LC_ALL": "C"}, DONE, 0),
    ("names of emoji, and a locale of ASCII alone", IN_ASCII, "images.folder: .* is not a folder", 1),
    ("names of emoji, and a terminal of Latin-1", {"PYTHONIOENCODING": "latin-1"}, DONE, 0),
):
    case(_name, GROUP, _says, exit_code=_code, environment=_environment)(named_by_emoji)

SHELLS: dict[str, tuple[str, str, int]] = {
    "no HOME": ("exec env -u HOME {}", DONE, 0),
    "no variables at all": ("exec env -i IMGCLUSTER_CACHE=cache PYTHONPATH=$PYTHONPATH {}", DONE, 0),
    "a closed standard output": ("exec {} >&-", "", 0),
    "a closed standard error": ("exec {} 2>&-", DONE, 0),
    "a closed standard input": ("exec {} <&-", DONE, 0),
    "all standard streams closed": ("exec {} <&- >&- 2>&-", "", 0),
    "a standard output that is full": ("exec {} > /dev/full", "No space left", 1),
    "a standard output that nobody reads": ("{} | true", "", 0),
    "umask 777": ("umask 777; exec {}", "Permission denied", 1),
    "a current folder that is deleted": ("mkdir gone; cd gone; rmdir ../gone; exec {}", "config.yaml", 1),
    "a current folder that one may not enter": ("mkdir shut; cd shut; chmod 0 .; exec {}", "config.yaml", 1),
    "ulimit -v, of 1 GB": ("ulimit -v 1000000; exec {}", "a package cannot be loaded; .*doctor` says which", 1),
}
for _name, (_shell, _says, _code) in SHELLS.items():
    case(_name, GROUP, _says, exit_code=_code, shell=_shell)(unconverted if "CACHE" in _shell else nothing)

BROKEN = {
    "cv2": "ImportError: libGL.so.1: cannot open shared object file",
    "torchvision": "RuntimeError: operator torchvision::nms does not exist",
    "sklearn": "ValueError: numpy.dtype size changed, may indicate binary incompatibility",
}


def _with_broken(package: str) -> Callable[[Path], None]:
    def spoil(own: Path) -> None:
        kind, _, words = BROKEN[package].partition(": ")
        unconverted(own)  # of a network that is converted, OpenVINO alone is wanted
        (own / "broken").mkdir()
        (own / "broken" / f"{package}.py").write_text(f"raise {kind}({words!r})\n")

    return spoil


BROKEN_FIRST = "PYTHONPATH=broken:$PYTHONPATH exec {}"
for _package, _says in BROKEN.items():
    _kind, _, _words = _says.partition(": ")
    _name, _says = f"a package that breaks as it is imported: {_package}, {_kind}", f"cannot be loaded: {_words}"
    case(_name, GROUP, _says, exit_code=1, shell=BROKEN_FIRST)(_with_broken(_package))

LIMITS: dict[str, tuple[int, int, str, int]] = {
    "ulimit -n 100": (resource.RLIMIT_NOFILE, 100, DONE, 0),
    "ulimit -n 8": (resource.RLIMIT_NOFILE, 8, "Too many open files", 1),
    "ulimit -f, of 20 KB": (resource.RLIMIT_FSIZE, 20_000, "File too large", 1),
    "ulimit -c 0": (resource.RLIMIT_CORE, 0, DONE, 0),
    "ulimit -v, of 8 GB": (resource.RLIMIT_AS, 8 << 30, DONE, 0),
}
for _name, (_limit, _most, _says, _code) in LIMITS.items():
    case(_name, GROUP, _says, exit_code=_code, limits={_limit: _most})(
        unconverted if _limit == resource.RLIMIT_FSIZE else nothing
    )

# ---- folders, disks, clocks


@case("a read-only cache", GROUP, DONE, environment={"IMGCLUSTER_CACHE": "cache"})
def _(own: Path) -> None:
    unconverted(own)
    (own / "cache").mkdir(0o555)


@case(
    "a config in a folder that one may not read",
    GROUP,
    "Permission denied",
    exit_code=1,
    commands=(("run", "secret/config.yaml"),),
)
def _(own: Path) -> None:
    (own / "secret").mkdir()
    shutil.copy(own / "config.yaml", own / "secret")
    (own / "secret").chmod(0)


@case("a config that one may not read", GROUP, "Permission denied", exit_code=1)
def _(own: Path) -> None:
    (own / "config.yaml").chmod(0)


@case(
    "a working folder that one may not write",
    GROUP,
    "Permission denied",
    exit_code=1,
    ended=lambda own: own.chmod(0o755),
)
def _(own: Path) -> None:
    own.chmod(0o555)


@case("pictures of the future and of 1970", GROUP, DONE, commands=(RUN, RUN))
def _(own: Path) -> None:
    for number, picture in enumerate(sorted((own / "pictures").iterdir())):
        os.utime(picture, (0, 0) if number % 2 else (DECADES + 1_800_000_000,) * 2)


@case("a cache of the future", GROUP, DONE, environment={"IMGCLUSTER_CACHE": "cache"})
def _(own: Path) -> None:
    unconverted(own)
    (own / "cache").mkdir()
    (own / "cache" / "digests.json").write_text("{}")
    for path in (own / "cache", own / "cache" / "digests.json"):
        os.utime(path, (DECADES + 1_800_000_000,) * 2)


@case(
    "a GPU that is not there",
    GROUP,
    "features.device",
    exit_code=1,
    environment={"CUDA_VISIBLE_DEVICES": "99"},
    commands=((*RUN, "--set", "features.device=cuda"),),
)
def _(own: Path) -> None:
    pass


@case("the GPU of the number 99", GROUP, DONE, environment={"CUDA_VISIBLE_DEVICES": "99"})
def _(own: Path) -> None:
    pass


def no_mounts() -> str | None:
    return None if os.geteuid() == 0 and shutil.which("mount") else "only root can mount a small disk"


def small_disk(folder: str, kilobytes: int) -> Callable[[Path], None]:
    def mount(own: Path) -> None:
        unconverted(own)
        (own / folder).mkdir()
        line = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(own / folder)]
        subprocess.run(line, check=True, capture_output=True)

    return mount


def unmount(folder: str) -> Callable[[Path], None]:
    return lambda own: subprocess.run(["umount", str(own / folder)], check=False, capture_output=True)  # type: ignore[return-value]


DISKS: dict[str, tuple[str, int, str, int]] = {
    "a store on a disk that is full": ("store", 16, "features.store: .*No space left on device", 1),
    "outputs on a disk that is full": ("out", 4, "No space left on device", 1),
    "a cache on a disk of 1 MB": ("cache", 1024, DONE, 0),
}
for _name, (_folder, _kilobytes, _says, _code) in DISKS.items():
    case(
        _name,
        GROUP,
        _says,
        exit_code=_code,
        environment={"IMGCLUSTER_CACHE": "cache"} if _folder == "cache" else {},
        skip=no_mounts,
        ended=unmount(_folder),
    )(small_disk(_folder, _kilobytes))
