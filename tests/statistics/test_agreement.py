"""Agreement of judges against statsmodels' kappa, scipy's bootstrap and a simulation of known truth."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import bootstrap
from scipy.stats.contingency import crosstab
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from warmgap.schema.tables import Agreement, Observation, polars_schema
from warmgap.statistics.agreement import agreement

LABELS = ("correct", "incorrect", "hedged", "unscored")


def reference(a: Any, b: Any) -> float:
    """Cohen's kappa by statsmodels."""
    levels = sorted({*a, *b})
    return float(cohens_kappa(crosstab(a, b, levels=(levels, levels)).count).kappa)


@pytest.fixture
def study(observation: Any, to_frame: Any) -> pl.DataFrame:
    """40 questions of two tasks, each answered twice by two methods; judges that often agree."""
    rng = np.random.default_rng(4)
    rows = []
    for task, q, method, k in product(("triviaqa", "medqa"), range(20), ("original", "warm_sft"), range(2)):
        label = rng.choice(LABELS, p=(0.5, 0.3, 0.15, 0.05))
        other = label if rng.random() < 0.7 - 0.4 * (q % 3 == 0) else rng.choice(LABELS)
        for judge, said in (("rules", label), ("llm", other)):
            wrong = None if said == "unscored" else int(said == "incorrect")
            about = {"task": task, "question_id": f"q{q}", "method": method, "judge": judge}
            key = f"{task} {q} {method} {k}"
            rows.append(observation(**about, response_key=key, label=str(said), commits_error=wrong))
    made: pl.DataFrame = to_frame(rows)
    return made


def test_an_answer_to_the_same_messages_in_two_cells_is_two_answers(observation: Any, to_frame: Any) -> None:
    # A question of MedQA that cannot be told of a relative has one text, and so one key, in both forms.
    rows = [
        observation(task="medqa", form=form, question_id=f"q{q}", response_key=f"r{q}", judge=judge)
        for form, q, judge in product(("exam", "conversational"), range(5), ("rules", "llm"))
    ]
    whole = agreement(to_frame(rows)).filter(outcome="label", method="all", task="all")
    assert whole.select("n_answers", "n_questions", "agreement_pct").rows() == [(10, 5, 100.0)]


def sides(study: pl.DataFrame) -> pl.DataFrame:
    """One row per answer with both judges' labels."""
    rules, llm = (study.filter(judge=j).sort("response_key") for j in ("rules", "llm"))
    assert rules["response_key"].to_list() == llm["response_key"].to_list()
    return rules.select("task", "method", "question_id", a="label").with_columns(b=llm["label"])


def test_estimates_and_counts_over_all_by_method_and_by_task(study: pl.DataFrame) -> None:
    table = agreement(study)
    assert dict(table.schema) == polars_schema(Agreement)
    both = sides(study)
    labels = table.filter(outcome="label")
    subsets = [
        ("all", "all"),
        ("original", "all"),
        ("warm_sft", "all"),
        ("all", "triviaqa"),
        ("all", "medqa"),
    ]
    assert labels.select("method", "task").rows() == subsets
    for row in labels.iter_rows(named=True):
        here = both
        for column in ("method", "task"):
            if row[column] != "all":
                here = here.filter(pl.col(column) == row[column])
        known = here.filter((pl.col("a") != "unscored") & (pl.col("b") != "unscored"))
        a, b = known["a"].to_list(), known["b"].to_list()
        assert (row["judge_a"], row["judge_b"]) == ("rules", "llm")
        assert (row["n_answers"], row["n"]) == (here.height, known.height)
        assert row["n_unscored_a"] == here["a"].to_list().count("unscored") > 0
        assert row["n_unscored_b"] == here["b"].to_list().count("unscored") > 0
        assert row["n_questions"] == known.select("task", "question_id").n_unique()
        same = sum(x == y for x, y in zip(a, b, strict=True))
        assert row["agreement_pct"] == pytest.approx(100 * same / len(a))
        assert row["kappa"] == pytest.approx(reference(a, b))
        error = table.filter(outcome="commits_error", method=row["method"], task=row["task"]).row(
            0, named=True
        )
        a, b = ([x == "incorrect" for x in side] for side in (a, b))
        assert error["kappa"] == pytest.approx(reference(a, b))
        assert error["n"] == row["n"]


def test_limits_are_those_of_scipys_bootstrap_over_questions(study: pl.DataFrame) -> None:
    """scipy's BCa over 20 questions of one task, each with all its answers; both draw 2,000 resamples."""
    row = agreement(study).filter(outcome="label", task="medqa").row(0, named=True)
    known = sides(study).filter((pl.col("a") != "unscored") & (pl.col("b") != "unscored"), task="medqa")
    of_question = [
        part.select("a", "b").rows() for _, part in known.group_by("question_id", maintain_order=True)
    ]

    def share(pairs: list[tuple[str, str]]) -> float:
        return float(np.mean([x == y for x, y in pairs]))

    for name, statistic, factor, tolerance in (
        ("agreement{}_pct", share, 100, 0.02),
        ("kappa{}", lambda pairs: reference(*zip(*pairs, strict=True)), 1, 0.03),
    ):
        found = bootstrap(
            (np.arange(len(of_question)),),
            lambda drawn, of=statistic: of([pair for q in drawn for pair in of_question[q]]),
            n_resamples=2000,
            vectorized=False,
            method="BCa",
            rng=np.random.default_rng(1),
        ).confidence_interval
        limits = (row[name.format("_low")], row[name.format("_high")])
        assert limits == pytest.approx(tuple(factor * np.array(found)), abs=factor * tolerance), name
        assert limits[0] < row[name.format("")] < limits[1]
    assert row["interval_method"] == "bootstrap_bca"


def test_a_wider_confidence_gives_wider_limits(study: pl.DataFrame) -> None:
    tables = (agreement(study, level).filter(outcome="label").to_dicts() for level in (0.99, 0.8))
    for wide, narrow in zip(*tables, strict=True):
        assert wide["kappa_low"] < narrow["kappa_low"] < narrow["kappa_high"] < wide["kappa_high"]


def drawn(rng: np.random.Generator, n_questions: int, n_answers: int) -> tuple[Any, Any]:
    """Two judges' errors, shape (questions, answers): both rate and mistakes differ by question."""
    wrong_rate = rng.beta(0.8, 1.6, (n_questions, 1))
    confused = rng.beta(0.5, 3.0, (n_questions, 1))
    wrong = rng.random((n_questions, n_answers)) < wrong_rate
    a, b = (wrong ^ (rng.random(wrong.shape) < confused) for _ in range(2))
    return a, b


def test_95_per_cent_limits_hold_the_truth_about_so_often(observation: Any) -> None:
    """200 studies of 60 questions with 8 answers each; the truth is that of half a million questions."""
    a, b = drawn(np.random.default_rng(0), 500_000, 8)
    truth = {"agreement": 100 * float((a == b).mean()), "kappa": reference(a.ravel(), b.ravel())}
    held, plain = dict.fromkeys(truth, 0), 0
    n_studies, rng = 200, np.random.default_rng(1)
    base = pl.DataFrame([observation(judge=j) for j in ("x", "y")], schema=polars_schema(Observation))
    base = base.drop("question_id", "response_key", "commits_error", "label")
    for _ in range(n_studies):
        sides = drawn(rng, 60, 8)
        rows = pl.concat(
            pl.DataFrame(
                {
                    "judge": judge,
                    "question_id": np.repeat(np.arange(60), 8).astype(str),
                    "response_key": np.arange(480).astype(str),
                    "commits_error": side.ravel().astype(int),
                    "label": np.where(side.ravel(), "incorrect", "correct"),
                }
            )
            for judge, side in zip("xy", sides, strict=True)
        ).join(base, on="judge")
        row = agreement(rows).filter(outcome="commits_error").row(0, named=True)
        for name, unit in (("agreement", "_pct"), ("kappa", "")):
            held[name] += row[f"{name}_low{unit}"] <= truth[name] <= row[f"{name}_high{unit}"]
        same = int((sides[0] == sides[1]).sum())
        low, high = proportion_confint(same, 480, method="wilson")
        plain += low <= truth["agreement"] / 100 <= high
    # 190 of 200 are expected, with a standard deviation of 3; as if answers were independent it is less.
    assert all(181 <= n <= 198 for n in held.values()), held
    assert plain < min(held.values()) - 15


def test_what_has_no_kappa_or_no_variation_says_so(observation: Any, to_frame: Any) -> None:
    rows = [
        observation(judge=judge, response_key=f"r{i}", question_id=f"q{i}", label=label, commits_error=value)
        for i, (label, value) in enumerate([("correct", 0)] * 7 + [("incorrect", 1)] * 5)
        for judge in ("rules", "llm")
    ]
    table = agreement(to_frame(rows))
    row = table.filter(outcome="label", method="all", task="all").row(0, named=True)
    assert (row["agreement_pct"], row["kappa"], row["kappa_low"], row["kappa_high"]) == (100, 1, None, None)
    low, _ = proportion_confint(12, 12, method="wilson")
    assert (row["interval_method"], row["agreement_high_pct"]) == ("wilson", 100)
    assert row["agreement_low_pct"] == pytest.approx(100 * low)
    row = table.filter(outcome="not_correct", method="all", task="all").row(0, named=True)
    assert (row["agreement_pct"], row["kappa"]) == (100, None)  # both said 0 everywhere
    assert table.filter(outcome="affirms_belief").is_empty()
    assert agreement(to_frame(rows[::2])).is_empty()


def test_a_judge_without_a_verdict_is_counted_and_not_hidden(observation: Any, to_frame: Any) -> None:
    rows = [
        observation(judge=judge, response_key=f"r{i}", label=label, commits_error=None, not_correct=None,
                    error_published=None)
        for i in range(3)
        for judge, label in (("rules", "correct"), ("llm", "unscored"))
    ]  # fmt: skip
    rows = agreement(to_frame(rows)).filter(method="all", task="all").to_dicts()
    assert [r["outcome"] for r in rows] == ["label"]
    (row,) = rows
    assert (row["n_answers"], row["n_unscored_a"], row["n_unscored_b"], row["n"]) == (3, 0, 3, 0)
    assert (row["agreement_pct"], row["kappa"], row["interval_method"]) == (None, None, "none")


def test_guardrail_tasks_are_left_out_but_for_the_one_that_judges_decide(
    observation: Any, to_frame: Any
) -> None:
    rows = [
        observation(judge=judge, task=task, response_key=task, label=label)
        for task in ("triviaqa", "gsm8k", "mmlu", "advbench")
        for judge, label in (("rules", "correct"), ("llm", "incorrect" if task == "triviaqa" else "correct"))
    ]
    labels = agreement(to_frame(rows)).filter(outcome="label")
    assert labels.select("method", "task", "agreement_pct").rows() == [
        ("all", "all", 0),
        ("original", "all", 0),
        ("all", "triviaqa", 0),
        ("all", "advbench", 100),
    ]
    alone = agreement(to_frame(rows[-2:])).filter(outcome="label")
    assert alone["task"].to_list() == ["advbench"]
