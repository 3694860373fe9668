"""Bad tables of ids."""

from __future__ import annotations

from pathlib import Path

from tests.bad_input import RUN, case

GROUP = "tables of ids"
WITH_IDS = (*RUN, "--set", "images.ids=template.csv")


@case("an id without a file", GROUP, "1 of 13 ids have no file", exit_code=1, commands=(WITH_IDS,))
def _(own: Path) -> None:
    with (own / "template.csv").open("a") as file:
        file.write("nowhere,0,\n")
