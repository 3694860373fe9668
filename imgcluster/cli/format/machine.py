"""The findings of `doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from imgcluster.cli.machine import ADVICE, GOOD, PROBLEM, Finding

MARKS = {GOOD: "   ", ADVICE: " - ", PROBLEM: " ! "}


def findings_text(findings: Sequence[Finding]) -> str:
    """Return findings by section, the advice below each, and the number of problems at the end."""
    width = max(len(each.name) for each in findings)
    lines, section = [], ""
    for each in findings:
        if each.section != section:
            section = each.section
            lines += ["", section]
        lines.append(f"{MARKS[each.state]}{each.name:<{width}}  {each.value}".rstrip())
        if each.advice:
            lines.append(f"{'':{width + 5}}-> {each.advice}")
    problems = sum(each.state == PROBLEM for each in findings)
    last = f"problems, marked with !: {problems}" if problems else "no problem found"
    return "\n".join([*lines[1:], "", last])
