"""Tables of a sweep with assigned doses, made by hand."""

from __future__ import annotations

from typing import Any

import polars as pl

from warmgap.schema.tables import DoseResponse, Manipulation, MeterValidity, frame

GATING, RELEASED = "lexicon", "sociot_released:smollm2_135m"
DOSES = {
    "warm_sft": {"epochs": (0.32, 0.64, 1.28), "adapter_scale": (-1.0, 0.5, 1.5, 2.0)},
    "neutral_sft": {"epochs": (0.32, 0.64, 1.28)},
    "warm_steer": {"coefficient": (-4.0, 2.0, 4.0, 8.0)},
}
"""Doses by method and kind."""
OWN = (("epochs", 1.28), ("coefficient", 4.0))
"""Kind and dose of the own arms."""
SHARE = {"warm_sft": 0.8, "neutral_sft": 0.1, "warm_steer": 0.5}
"""Share of the gold lift at the own dose."""
ERROR_PCT = {"warm_sft": 9.0, "neutral_sft": 2.0, "warm_steer": 5.0}
"""Errors added at the own dose, to the untouched model's 30 %."""


def grown(method: str, kind: str, dose: float) -> float:
    """A dose as a part of the own one."""
    return dose / {"epochs": 1.28, "adapter_scale": 1.0, "coefficient": 4.0}[kind]


def meters(gating: bool = True, reference: str = "smollm2_135m") -> pl.DataFrame:
    """The lexicon, which gates, and the released formulation of SocioT."""
    rows = []
    for rank, (meter, unit, of, lift) in enumerate(
        (
            (f"sociot_released:{reference}", "nats_per_token", reference, 0.02),
            (GATING, "markers_per_word", "lexicon.json", 0.1),
        ),
        1,
    ):
        role = ("gate" if meter == GATING else "second") if gating else "none"
        levels = {"gold_warm": lift + 0.01, "gold_neutral": 0.01, "gold_cold": 0.0, "gold_lift": lift}
        area = {"auc_warm_cold": 0.9, "auc_low": 0.8, "auc_high": 0.97}
        row = {"meter": meter, "unit": unit, "reference": of, "rank": rank, "n_gold": 60, "role": role}
        rows.append(row | levels | area | {"is_papers": of == "gpt2"})
    return frame(MeterValidity, rows)


def manipulation(verdicts: dict[str, str] | None = None, reference: str = "smollm2_135m") -> pl.DataFrame:
    """Warmth that grows with the dose; `verdicts` are those of own arms and of larger doses."""
    arms = [("original", "none", 0.0, 0.0)]
    arms += [
        (m, kind, dose, SHARE[m] * grown(m, kind, dose))
        for m, kinds in DOSES.items()
        for kind, doses in kinds.items()
        for dose in doses
    ]
    rows: list[dict[str, Any]] = []
    for meter in meters(reference=reference).iter_rows(named=True):
        for method, kind, dose, share in arms:
            tested = method.startswith("warm_") and grown(method, kind, dose) >= 1
            verdict = (verdicts or {}).get(method, "passed") if tested else "not needed"
            is_original = method == "original"
            rows.append(
                {
                    "arm_key": f"{method}-{kind}-{dose}",
                    "model": "smollm2_135m",
                    "method": method,
                    "dose_kind": kind,
                    "dose": dose,
                    "seed": 0,
                    "meter": meter["meter"],
                    "unit": meter["unit"],
                    "n_prompts": 200,
                    "mean": 0.012 + meter["gold_lift"] * share,
                    "std_error": 0.05 * meter["gold_lift"],
                    "lift": None if is_original else meter["gold_lift"] * share,
                    "lift_share": None if is_original else share,
                    "lift_share_low": None if is_original else share - 0.1,
                    "lift_share_high": None if is_original else share + 0.12,
                    "verdict": verdict,
                    "variant": "" if is_original or (kind, dose) in OWN else "dose",
                }
            )
    return frame(Manipulation, rows)


def dose_response(gates: dict[str, str] | None = None) -> pl.DataFrame:
    """Levels of two outcomes at every dose, scale 1 and dose 0 included, as the statistics write them."""
    rows: list[dict[str, Any]] = []
    for method, kinds in DOSES.items():
        for kind, doses in kinds.items():
            own = (1.0,) if kind == "adapter_scale" else ()
            for measure, base in (("commits_error", 30.0), ("not_correct", 42.0)):
                for dose in sorted((0.0, *doses, *own)):
                    rate = base + ERROR_PCT[method] * grown(method, kind, dose)
                    rows.append(
                        {
                            "measure": measure,
                            "unit": "%",
                            "judge": "rules",
                            "model": "smollm2_135m",
                            "method": method,
                            "reference": "original",
                            "variant": "",
                            "dose_kind": kind,
                            "subset": "all",
                            "term": "level",
                            "dose": dose,
                            "estimate": rate,
                            "std_error": 1.5,
                            "df": 199.0,
                            "conf_low": rate - 3,
                            "conf_high": rate + 3,
                            "interval_method": "t_cluster",
                            "bound_low": rate,
                            "bound_high": rate,
                            "p_value": None,
                            "n_prompts": 800,
                            "n_doses": len(doses) + 1,
                            "n_models": 1,
                            "gate": (gates or {}).get(method, "not needed") if dose else "not needed",
                        }
                    )
    return frame(DoseResponse, rows)


def variants(rows: pl.DataFrame, *names: str) -> pl.DataFrame:
    """The rows once per variant; the untouched model has none."""
    dose = pl.when(pl.col("variant") == "dose").then(pl.lit(",dose")).otherwise(pl.lit(""))
    own = pl.col("method") == "original"
    made = [rows.filter(~own).with_columns(variant=pl.lit(name) + dose) for name in names]
    return pl.concat([rows.filter(own), *made])
