"""`doctor`: whether this machine is fit for the work."""

from __future__ import annotations

import json
from dataclasses import asdict

from imgcluster.cli.options import JSON, Commands, Options, add_command
from imgcluster.errors import ImgclusterError


def add(commands: Commands) -> None:
    """Add the command."""
    add_command(commands, "doctor", run, "check this machine and suggest a fix for each problem", JSON)


def run(options: Options) -> None:
    """Examine this machine, print the findings. Raises ImgclusterError where something does not work."""
    from imgcluster.cli.format.machine import findings_text
    from imgcluster.cli.machine import examine, has_problems

    findings = examine()
    print(json.dumps([asdict(each) for each in findings], indent=2) if options.json else findings_text(findings))
    if has_problems(findings):
        raise ImgclusterError("this machine has problems; fixes are suggested above")
