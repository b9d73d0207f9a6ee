"""What a changed plan makes anew, keeps and no longer asks for, in words of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Container, Mapping

from warmgap.anew import NEW_JOBS, Anew, Reason
from warmgap.plan import Node
from warmgap.schema.fields import STAGES
from warmgap.show import UNITS

_MOST_LINES = 12
_MOST_CHARS = 300
"""Of one reason: a list of many settings is cut."""


def anew_lines(found: Anew, nodes: Mapping[str, Node], stored: Container[str]) -> list[str]:
    """One line for each reason with its jobs, then what is new, kept and no longer asked for.

    Args:
        found: the comparison with the plan that was there.
        nodes: the jobs of the plan that is wanted.
        stored: keys of the kept jobs whose artifact is there.
    """
    by_reason: dict[Reason, list[str]] = defaultdict(list)
    for key, reason in found.anew.items():
        by_reason[reason].append(key)
    texts = [f"{_counted(keys, nodes)} anew{_why(reason)}" for reason, keys in by_reason.items()]
    if len(texts) > _MOST_LINES:
        rest = sum(len(keys) for keys in list(by_reason.values())[_MOST_LINES:])
        texts[_MOST_LINES:] = [f"{_jobs(rest)} anew for {len(texts) - _MOST_LINES} other reasons"]
    if found.new:
        texts.append(f"new: {_jobs(len(found.new))} (arms or cells that were not asked for before)")
    kept = [key for key in found.kept if key in stored]
    if kept:
        texts.append(f"kept: {_by_stage(kept, nodes)}")
    unmade = len(found.kept) - len(kept)
    if unmade:
        texts.append(f"the same and not yet made: {_jobs(unmade)}")
    if found.dropped:
        texts.append(f"no longer asked for: {_jobs(len(found.dropped))} (kept in the store until make gc)")
    return [line for text in texts for line in wrapped(text)]


def wrapped(text: str) -> list[str]:
    """A point of a list in 80 columns; what is far too long is cut."""
    short = text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 4].rstrip()} ..."
    return textwrap.wrap(short, 80, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _why(reason: Reason) -> str:
    stages = [stage for stage in reason.since if stage != NEW_JOBS]
    since = f"{_and(stages)} changed" if stages else "there are new jobs before" if reason.since else ""
    if reason.settings:
        told = "; ".join(reason.settings)
        return f" ({told}; and {since})" if since else f" ({told})"
    return f", since {since}" if since else ""


def _counted(keys: list[str], nodes: Mapping[str, Node]) -> str:
    stages = {nodes[key].job.stage for key in keys}
    named = ", ".join(stage for stage in STAGES if stage in stages)
    if len(stages) > 1 or named in ("corpus", "analyse", "report"):
        return f"{named}: {_jobs(len(keys))}"
    return f"{named}: {_jobs(len(keys))}, {sum(nodes[key].units for key in keys):,} {UNITS[named]},"


def _by_stage(keys: list[str], nodes: Mapping[str, Node]) -> str:
    jobs = Counter(nodes[key].job.stage for key in keys)
    answers = sum(nodes[key].units for key in keys if nodes[key].job.stage == "respond")
    said = {"respond": f" ({answers:,} answers)"}
    of = ", ".join(f"{stage} {jobs[stage]:,}{said.get(stage, '')}" for stage in STAGES if jobs[stage])
    return f"{_jobs(len(keys))}: {of}"


def _jobs(n: int) -> str:
    return f"{n:,} job{'' if n == 1 else 's'}"


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
