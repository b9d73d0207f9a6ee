"""The questions of a plan and the prompts of its cells, composed (factorial) or looked up (published)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from warmgap.design import beliefs, framings
from warmgap.design.prompts import Prompt, compile_prompts
from warmgap.design.published import MODE, Released, check_conditions
from warmgap.design.questions import Question
from warmgap.keys import Shared, digest
from warmgap.records import PromptRow
from warmgap.schema.config import Config, DesignConfig, TaskConfig
from warmgap.schema.fields import plain
from warmgap.sweep import Sweep
from warmgap.tasks import open as tasks


@dataclass(frozen=True)
class AskedCell:
    """What an arm is asked in one cell, without its draws."""

    task: str
    form: str
    framing: str
    belief: str
    questions: tuple[Question, ...]
    prompts: tuple[PromptRow, ...]


class PlannedQuestions:
    """Reads each task once, and compiles each cell once for all arms with the same messages."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._cells: dict[str, tuple[AskedCell, ...]] = {}
        self._released: dict[str, dict[str, Released]] = {}
        self._files: dict[tuple[str, str], tasks.Loaded] = {}
        self._chosen: dict[tuple[int, str, str, int], Shared[Question]] = {}

    def loaded(self, config: Config) -> dict[str, tasks.Loaded]:
        """Every question of each task, and where it is from.

        Raises:
            UserError: a missing file, a malformed row, or a condition that the released prompts lack.
        """
        if config.design.mode == MODE:
            return {
                name: tasks.Loaded(r.questions, r.sha256, source=MODE, notes=r.notes)
                for name, r in self.released(config.design).items()
            }
        return {t.name: self._file(t) for t in self._sweep.tasks}

    def released(self, design: DesignConfig) -> dict[str, Released]:
        """What the release holds of each task.

        Raises:
            UserError: see `loaded`.
        """
        if design.prompts not in self._released:
            from warmgap.design import published_files  # reads the crosswalk, which takes scipy along

            found = {t.name: published_files.load(design.prompts, t.name, t.form) for t in self._sweep.tasks}
            check_conditions(
                found, [f.name for f in self._sweep.framings], [b.name for b in self._sweep.beliefs]
            )
            self._released[design.prompts] = found
        return self._released[design.prompts]

    def content(self, design: DesignConfig) -> tuple[str, ...]:
        """What of the release enters an arm's key; nothing where prompts are composed."""
        return tuple(r.sha256 for r in self.released(design).values()) if design.mode == MODE else ()

    def cells(self, config: Config) -> tuple[AskedCell, ...]:
        """The cells of an arm in the order of the axes; those that the release lacks are absent."""
        candidates = config.sampling.margin
        at = digest(config.design, config.method.persona, candidates)
        if at not in self._cells:
            self._cells[at] = tuple(self._compiled(config, candidates))
        return self._cells[at]

    def facts(self, config: Config) -> dict[str, Any]:
        """Prompts of the release by task, belief and framing, for the plan; empty in other modes."""
        if config.design.mode != MODE:
            return {}
        released, seed = self.released(config.design), config.design.seed
        asked = {t.name: tasks.asked(self.loaded(config)[t.name], t, seed) for t in self._sweep.tasks}
        return {"published_prompts": {name: released[name].counts(q) for name, q in asked.items()}}

    def _file(self, task: TaskConfig) -> tasks.Loaded:
        at = (task.name, task.form)
        if at not in self._files:
            self._files[at] = tasks.load(task)
        return self._files[at]

    def _asked(self, task: TaskConfig, loaded: tasks.Loaded, design: DesignConfig) -> Shared[Question]:
        at = (id(task), design.mode, design.prompts, design.seed)
        if at not in self._chosen:
            self._chosen[at] = Shared(tasks.asked(loaded, task, design.seed))
        return self._chosen[at]

    def _compiled(self, config: Config, candidates: bool) -> Iterator[AskedCell]:
        published = config.design.mode == MODE
        # Released prompts say the form themselves, so that two forms of a task are one there.
        by_name = {t.name: t for t in self._sweep.tasks}
        for task in by_name.values() if published else self._sweep.tasks:
            loaded = self.loaded(config)[task.name] if published else self._file(task)
            asked = self._asked(task, loaded, config.design)
            for framing in self._sweep.framings:
                for belief in self._sweep.beliefs:
                    cell = AskedCell(task.name, task.form, framing.name, belief.name, asked, ())
                    if published:
                        released, at = self.released(config.design)[task.name], (framing.name, belief.name)
                        there = released.asked(asked, at)
                        if not there:
                            continue
                        cell = replace(cell, form=released.forms[at], questions=Shared(there))
                        prompts = released.compile(
                            there, at, config.method.persona, config.design.system_prompt
                        )
                    else:
                        prompts = compile_prompts(
                            asked,
                            framings.framing(framing, config.design.framing_set),
                            beliefs.belief(belief),
                            config.method.persona,
                            config.design,
                        )
                    yield replace(cell, prompts=Shared(_row(p, candidates) for p in prompts))


def design_settings(design: DesignConfig) -> dict[str, Any]:
    """What of the design tells arms apart: all but the place of the released prompts."""
    return {k: v for k, v in plain(design).items() if k != "prompts"}


def _row(prompt: Prompt, candidates: bool) -> PromptRow:
    q = prompt.question
    scored = (q.answer, q.wrong_answer) if candidates and q.answer else ()
    return PromptRow(q.id, prompt.statement_id, prompt.messages, scored)
