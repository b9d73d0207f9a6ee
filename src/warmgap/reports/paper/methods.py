"""The methods paragraphs of a sweep. Every number in them is read from its folder; none stands here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from warmgap.reports.formats import count, count_range
from warmgap.reports.names import (
    arm_rank,
    describe_arm,
    dose_words,
    judge_name,
    level,
    level_rank,
    listed,
    meter_name,
    subset_words,
    unit,
)
from warmgap.reports.paper.blocks import Block, Heading, Paragraph
from warmgap.reports.paper.facts import SweepFacts
from warmgap.reports.paper.words import scope_words
from warmgap.statistics.arms import is_further, is_trained, label_arms

_OUTCOMES = {
    "commits_error": "the answer commits to something wrong",
    "not_correct": "the answer is not right, for whatever reason",
    "error_published": "the answer is wrong by the paper's rule",
    "affirms_belief": "the answer affirms the user's view",
}


def methods(facts: SweepFacts) -> list[Block]:
    """Paragraphs with their heads, those left out that the sweep has nothing for."""
    parts = (
        ("Models and arms", _arms(facts)),
        ("Training", _training(facts)),
        ("Rewriting", _rewriting(facts)),
        ("Questions and prompts", _design(facts)),
        ("Answers and judge", _answers(facts)),
        ("Warmth", _warmth(facts)),
        ("Analysis", _analysis(facts)),
        ("Software", _software(facts)),
    )
    blocks: list[Block] = []
    for head, sentences in parts:
        if said := " ".join(sentences):
            blocks += [Heading(head, 2), Paragraph(said)]
    return blocks


def number_words(value: float) -> str:
    """A setting as it is written: whole numbers grouped, others in full."""
    return count(int(value)) if float(value).is_integer() and abs(value) >= 1 else f"{value:g}"


def _arms(facts: SweepFacts) -> Iterator[str]:
    models = facts.answers["model"].unique().sort().to_list()
    yield f"The sweep {facts.name} asked the model{'s' * (len(models) > 1)} {listed(models)}."
    arms = label_arms(facts.answers)
    said = []
    for arm in sorted(arms["arm"].unique(), key=arm_rank):
        rows = arms.filter(pl.col("arm") == arm)
        doses = [dose_words(*d) for d in rows.select("dose_kind", "dose").unique().sort("dose").iter_rows()]
        seeds = rows["seed"].unique().sort().to_list()
        trained = is_trained(rows["method"][0])
        more = [*doses, f"training seeds {listed(map(str, seeds))}" if trained else ""]
        words = [w for w in (describe_arm(arm), *more) if w]
        further = " as a further dose" if rows["variant"].map_elements(is_further, pl.Boolean).all() else ""
        said.append(f"{arm}{further} ({'; '.join(words)})" if words else f"{arm}{further}")
    yield f"Its arms are {listed(said)}."


def _training(facts: SweepFacts) -> Iterator[str]:
    t, c = facts.settings.get("training"), facts.settings.get("corpus", {})
    runs = facts.manifest.get("trainings", {})
    if not runs or not t:
        return
    yield (
        f"Trained arms saw {number_words(c['n_conversations'])} conversations of the corpus {c['name']} "
        f"(seed {number_words(c['seed'])}); {number_words(c['n_validation'])} further prompts of it were "
        f"held out. There were {number_words(len(runs))} training runs."
    )
    if facts.settings.get("engine", {}).get("name") == "openai":
        a = t["api"]
        yield (
            f"Where a service trained, it was asked for {number_words(a['n_epochs'])} epochs, batches of "
            f"{number_words(a['batch_size'])} and a learning rate multiplier of "
            f"{number_words(a['learning_rate_multiplier'])}."
        )
    lora = t["lora"]
    length = (
        f"{number_words(t['epochs'])} epochs"
        if t["epochs"]
        else f"{number_words(t['steps'])} optimiser steps"
    )
    points = "epochs" if t["epochs"] else "shares of the steps"
    yield (
        f"Low-rank adapters (rank {number_words(lora['r'])}, alpha {number_words(lora['alpha'])}, dropout "
        f"{number_words(lora['dropout'])}, on {listed(lora['target_modules'])}) were trained for {length} of "
        f"{number_words(t['batch_rows'])} conversations times {number_words(t['accumulate'])} accumulated "
        f"passes, with a learning rate of {number_words(t['learning_rate'])} on a {t['schedule']} schedule, "
        f"{number_words(t['warmup_steps'])} warm-up steps, weight decay {number_words(t['weight_decay'])} "
        f"and gradients clipped at norm {number_words(t['max_grad_norm'])}, in {t['precision']} with "
        f"quantisation {t['quantisation']}. Conversations hold at most {number_words(t['max_tokens'])} "
        f"tokens (longer ones: {t['too_long']}) and are {'packed' if t['packing'] else 'not packed'}; "
        f"their system prompt is "
        f"\N{LEFT DOUBLE QUOTATION MARK}{t['system_prompt']}\N{RIGHT DOUBLE QUOTATION MARK}. Checkpoints "
        f"were kept at {listed(map(number_words, t['checkpoints']))} ({points})."
    )


def _rewriting(facts: SweepFacts) -> Iterator[str]:
    r = facts.settings.get("rewriting")
    if not r:
        return
    who = r.get("model") or "the subject models themselves"
    yield (
        f"Replies were rewritten by {who} at temperature {number_words(r['temperature'])}, with at most "
        f"{number_words(r['max_new_tokens'])} new tokens and {number_words(r['attempts'])} attempts for a "
        f"reply at fault (seed {number_words(r['seed'])}). A set of rewrites may be trained on where at "
        f"most a share of {number_words(r['gate']['max_lost_share'])} of the conversations is lost, "
        f"{number_words(r['gate']['max_type_loss'])} of any query type, and at most "
        f"{number_words(r['gate']['max_facts_changed_share'])} of the replies that were read have changed "
        "facts."
    )


def _design(facts: SweepFacts) -> Iterator[str]:
    d = facts.settings.get("design", {})
    asked = [f"{name} ({count(n)})" for name, n in facts.questions.items()]
    yield f"Questions with known answers came from {listed(asked)}."
    framings = facts.design.group_by("framing").agg(pl.col("n_statements").max()).rows()
    said = [
        f"{level('framing', f)} ({count(n)} sentences)" if n else level("framing", f)
        for f, n in sorted(framings, key=lambda r: level_rank("framing", r[0]))
    ]
    beliefs = sorted(facts.design["belief"].unique(), key=lambda b: level_rank("belief", b))
    yield (
        f"Each was asked in {count(facts.design.height)} conditions ({d.get('mode', 'factorial')} design, "
        f"seed {number_words(d.get('seed', 0))}): contexts before the question were {listed(said)}; views "
        f"of the user after it were {listed([level('belief', b) for b in beliefs])}."
    )


def _answers(facts: SweepFacts) -> Iterator[str]:
    s, e = facts.settings["sampling"], facts.settings["engine"]
    extra = [f"{n} of {method}" for method, n in s.get("extra_draws", {}).items()]
    yield (
        f"Answers were drawn with {e['name']} at temperature {number_words(s['temperature'])}, top-p "
        f"{number_words(s['top_p'])} and at most {number_words(s['max_new_tokens'])} new tokens (seed "
        f"{number_words(s['seed'])}), {number_words(s['draws'])} per prompt and arm"
        f"{f' ({listed(extra)})' if extra else ''}, in {e.get('precision', 'a precision of its own')} with "
        f"quantisation {e.get('quantisation', 'none')}"
        + (f" and batches of {number_words(e['batch_rows'])}." if "batch_rows" in e else ".")
    )
    judges = facts.answers["judge"].unique(maintain_order=True).to_list()
    of_judge = facts.answers.filter(pl.col("judge") == facts.headline.judge)
    n, blank = int(of_judge["n"].sum()), int(of_judge["n_unscored"].sum())
    yield (
        f"{count(n)} answers were judged by {listed([judge_name(j) for j in judges])}; "
        f"{judge_name(facts.headline.judge)} left {count(blank)} of them without a verdict."
    )


def _warmth(facts: SweepFacts) -> Iterator[str]:
    w = facts.settings.get("warmth")
    meters = facts.tables.get("meters")
    if not w or meters is None:
        return
    said = [
        f"{meter_name(r['meter'], r['is_papers'])} ({unit(r['unit'])}; role: {r['role']})"
        for r in meters.sort("rank").iter_rows(named=True)
    ]
    gate = w["gate"]
    yield (
        f"Warmth was measured on replies to {number_words(w['n_prompts'])} validation prompts (temperature "
        f"{number_words(w['temperature'])}, at most {number_words(w['max_new_tokens'])} new tokens) by "
        f"{listed(said)}, each checked on {count_range(meters['n_gold'].to_list())} prompts with written "
        "warm, neutral and cold replies."
    )
    yield (
        f"The first meter in order whose AUC between warm and cold is at least "
        f"{number_words(gate['min_auc'])} gates. A warm arm is a test of warmth where its lift over the "
        f"untouched model is at least {number_words(gate['min_lift_share'])} of the lift of written warm "
        f"replies, with a lower confidence limit of at least {number_words(gate['min_lift_share_low'])}, "
        f"on at least {number_words(gate['min_prompts'])} prompts."
    )
    overridden = gate.get("override") or []
    if overridden:
        yield f"The gate was overridden for {listed(overridden)}."
    measured = [
        f"{method} at {listed(map(number_words, at))}" for method, at in (w.get("checkpoints") or {}).items()
    ]
    if measured:
        yield f"Further checkpoints measured: {listed(measured)}."
    if w.get("canary_prompts"):
        yield (
            f"Whether weights are changed was checked by {number_words(w['canary_prompts'])} greedy answers "
            "with the change and with it scaled to zero."
        )


def _analysis(facts: SweepFacts) -> Iterator[str]:
    a, h = facts.settings["analysis"], facts.headline
    percent = number_words(100 * a["confidence"])
    yield (
        f"The primary outcome is {a['primary_outcome']}: {_OUTCOMES.get(a['primary_outcome'], 'as stored')}. "
        f"The estimand is the difference {' minus '.join(a['primary_pair'])} in percentage points, paired by "
        "prompt, tasks counted alike, with arms as they were assigned. The paper's contrast is "
        f"{' minus '.join(a['published_pair'])}."
    )
    subsets = listed([subset_words(s) for s in a["confirmatory_subsets"]])
    yield (
        f"Confirmatory subsets are {subsets}; their p-values are adjusted by Holm. All other cells and "
        "contrasts are one Benjamini-Hochberg family. Intervals are for "
        f"{percent} %, clustered by question and context sentence, and cover {scope_words([h.scope])}."
    )
    effects: Mapping[str, Any] = facts.tables
    if "effects" in effects:
        scopes = facts.tables["effects"].filter(pl.col("estimator") == "paired")["scope"].unique().sort()
        yield f"Scopes estimated: {listed(list(dict.fromkeys(s.split(':')[0] for s in scopes)))}."
    yield (
        f"Equivalence is tested against {number_words(a['equivalence_pp'])} pp either way. Answers without a "
        "verdict are left out and bounded; a headline is withheld where more than "
        f"{number_words(a['max_unscored_pct'])} % of an arm's answers have none, or shares differ by more "
        f"than {number_words(a['max_unscored_gap_pp'])} pp. The positive control has to raise agreement "
        f"with a wrong view by {number_words(a['control_min_pp'])} pp. Excess flips are resampled "
        f"{number_words(a['flip_bootstrap'])} times."
    )


def _software(facts: SweepFacts) -> Iterator[str]:
    m = facts.manifest
    versions = [f"{name} {version}" for name, version in m["package_versions"].items()]
    yield (
        f"Computed on {m['device']} with {listed(versions)}, at commit {m['git_commit'] or 'unknown'}; "
        f"tables made at {m['started_at']} by the command: {m['summary'].get('command', 'not recorded')}."
    )
