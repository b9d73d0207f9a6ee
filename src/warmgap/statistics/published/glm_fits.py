"""The paper's regressions fitted again, from counts rebuilt out of the published cells.

Formulas (paper, Methods; public model outputs), FT being 1 for the fine-tuned model:

    M1  error ~ FT + C(task) + C(model)                                no context, no belief
    M2  error ~ FT * C(group) + C(task) + C(model)                     no belief
    M3  error ~ FT * C(framing) + C(task) + C(model)                   no belief
    M4  error ~ FT + C(group) + C(task) + C(model) + FT:C(belief)      all

The fits are like the paper's, not the same. Cells hold pairs: an answer dropped in one arm (about
1 in 90) is missing from both. And cells without context hold the template `original` only, where
the regressions hold `original_neutral` too; they stand here twice, in its place.
Suffixes: G groups of answers (one arm of a cell), K coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import special

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.published.cells import BELIEFS, FRAMINGS, GROUPS, TASKS
from warmgap.statistics.published.counts import rebuilt_cells
from warmgap.statistics.published.crosswalk import our_term
from warmgap.statistics.published.files import read

MODELS = ("llama31_70b", "llama31_8b", "gpt_4o", "mistral_small_2409", "qwen25_32b")
"""The paper's models, its reference level first."""
REGRESSIONS = ("M1", "M2", "M3", "M4")
TOLERANCE_FT = 0.03
"""How near the coefficient of FT without context is to come to the published one."""
TOLERANCE_INTERACTION = 0.02
"""The same for interactions of FT with context."""
TOLERANCE_EFFECT_PP = 0.4
"""The same for marginal effects of FT."""

_LEVELS = {
    "task": ("disinfo", *(t for t in TASKS if t != "disinfo")),
    "model": MODELS,
    "group": tuple(dict.fromkeys(GROUPS.values())),
    "framing": FRAMINGS,
    "belief": BELIEFS,
}
_NO_BELIEF = pl.col("belief") == "none"


@dataclass(frozen=True)
class CountsFit:
    """A fitted regression: coefficients by name, with covariance, on `groups` of answers."""

    names: tuple[str, ...]
    params_K: FloatArray
    cov_KK: FloatArray
    groups: pl.DataFrame

    def coefficient(self, name: str) -> tuple[float, float]:
        """Estimate and standard error of a coefficient."""
        k = self.names.index(name)
        return float(self.params_K[k]), float(np.sqrt(self.cov_KK[k, k]))

    def marginal_effect_pp(self, changed: str = "FT", within: str = "all") -> float:
        """Mean over answers of the predicted probability after a change minus that before.

        Args:
            changed: `FT` (from 0 to 1) or a level like `task[medqa]` (from the reference to it).
            within: `all`, or a subset like `framing[sad]`.
        """
        groups = self.groups
        if within != "all":
            factor, level = _factor_level(within)
            groups = groups.filter(pl.col(factor) == level)
        if changed == "FT":
            after, before = (groups.with_columns(FT=pl.lit(v)) for v in (1, 0))
        else:
            factor, level = _factor_level(changed)
            after, before = (
                groups.with_columns(pl.lit(v).alias(factor)) for v in (level, _LEVELS[factor][0])
            )
        p_after, p_before = (special.expit(_columns(g, self.names) @ self.params_K) for g in (after, before))
        return float(100 * np.average(p_after - p_before, weights=groups["n"].to_numpy()))


def warm_groups(method: str = "warm_sft") -> pl.DataFrame:
    """Counts of both arms in each cell of a method against original.

    Returns:
        Columns model, task, framing, group, belief, FT (0 original, 1 modified), errors, n; cells
        without context and belief counted twice.
    """
    cells = rebuilt_cells().filter(pl.col("method") == method)
    twice = 1 + ((pl.col("framing") == "none") & _NO_BELIEF).cast(pl.Int64())
    arms = [
        cells.select(
            "model",
            "task",
            "framing",
            pl.col("framing").replace_strict(GROUPS).alias("group"),
            "belief",
            FT=pl.lit(ft),
            errors=pl.col(errors) * twice,
            n=pl.col("n") * twice,
        )
        for ft, errors in ((0, "errors_original"), (1, "errors_modified"))
    ]
    return pl.concat(arms)


def fit_regression(name: str, groups: pl.DataFrame | None = None) -> CountsFit:
    """One of the paper's regressions, by IRLS with nonrobust covariance (statsmodels), as in the paper.

    Args:
        name: M1, M2, M3 or M4.
        groups: as `warm_groups` returns, the default; a factor with one level has no term.
    """
    groups = warm_groups() if groups is None else groups
    if name != "M4":
        groups = groups.filter(_NO_BELIEF)
    if name == "M1":
        groups = groups.filter(pl.col("framing") == "none")
    interaction = {"M1": "", "M2": "group", "M3": "framing", "M4": "belief"}[name]
    names = _terms(groups, interaction)
    x_GK = _columns(groups, names)

    import statsmodels.api as sm

    errors_G, n_G = groups["errors"].to_numpy(), groups["n"].to_numpy()
    fitted = sm.GLM(np.stack([errors_G, n_G - errors_G], axis=1), x_GK, family=sm.families.Binomial()).fit()
    return CountsFit(names, np.asarray(fitted.params), np.asarray(fitted.cov_params()), groups)


def side_by_side() -> pl.DataFrame:
    """Published and rebuilt coefficients and marginal effects.

    Returns:
        Columns regression, quantity (coefficient or marginal effect), term, within, published,
        published_std_error, rebuilt, rebuilt_std_error, difference (rebuilt less published), unit,
        tolerance (null where none was set) and is_within. Response length is left out: no file
        gives it.
    """
    fitted = {name: fit_regression(name) for name in REGRESSIONS}
    rows: list[dict[str, object]] = []
    for name, term, published, std_error in read("coefficients").iter_rows():
        if name in fitted:
            ours, our_error = fitted[name].coefficient(our_term(term))
            row = _row(name, "coefficient", our_term(term), "", published, ours, _tolerance(name, term))
            rows.append(row | {"published_std_error": std_error, "rebuilt_std_error": our_error})
    for name, term, subset, published in read("marginal_effects").iter_rows():
        if name in fitted:
            ours = fitted[name].marginal_effect_pp(our_term(term), our_term(subset))
            limit = TOLERANCE_EFFECT_PP if term == "FT" else None
            row = _row(name, "marginal effect", our_term(term), our_term(subset), published, ours, limit)
            rows.append(row | {"published_std_error": None, "rebuilt_std_error": None})
    columns = ("regression", "quantity", "term", "within", "published", "published_std_error", "rebuilt")
    rest = ("rebuilt_std_error", "difference", "unit", "tolerance", "is_within")
    return pl.DataFrame(rows, infer_schema_length=None).select(*columns, *rest)


def context_log_odds() -> pl.DataFrame:
    """Interaction of FT with each context in log odds, model by model (M3 without C(model)).

    Returns:
        Columns model, framing, estimate, std_error (from answers, taken as independent).
    """
    groups = warm_groups()
    rows = []
    for model in MODELS:
        fit = fit_regression("M3", groups.filter(pl.col("model") == model))
        for framing in FRAMINGS[1:]:
            estimate, std_error = fit.coefficient(f"FT:framing[{framing}]")
            rows.append({"model": model, "framing": framing, "estimate": estimate, "std_error": std_error})
    return pl.DataFrame(rows)


def _tolerance(name: str, term: str) -> float | None:
    if term == "FT":
        return TOLERANCE_FT
    return TOLERANCE_INTERACTION if term.startswith("FT:") and name in ("M2", "M3") else None


def _row(
    name: str, quantity: str, term: str, within: str, published: float, ours: float, tolerance: float | None
) -> dict[str, object]:
    difference = ours - published
    return {
        "regression": name,
        "quantity": quantity,
        "term": term,
        "within": within,
        "published": published,
        "rebuilt": ours,
        "difference": difference,
        "unit": "log odds" if quantity == "coefficient" else "pp",
        "tolerance": tolerance,
        "is_within": None if tolerance is None else abs(difference) <= tolerance,
    }


def _terms(groups: pl.DataFrame, interaction: str) -> tuple[str, ...]:
    """Names of a regression's columns; a factor's first level that occurs is its reference."""
    factors = ["task", "model", *{"": (), "belief": ("group",)}.get(interaction, (interaction,))]
    names = ["Intercept", "FT"]
    for factor in factors:
        here = set(groups[factor])
        levels = [level for level in _LEVELS[factor] if level in here][1:]
        names += [f"{factor}[{level}]" for level in levels]
        if factor == interaction:
            names += [f"FT:{factor}[{level}]" for level in levels]
    if interaction == "belief":
        names += [f"FT[{ft}]:belief[{BELIEFS[1]}]" for ft in (0, 1)]
    return tuple(names)


def _columns(groups: pl.DataFrame, names: tuple[str, ...]) -> FloatArray:
    """The columns with these names: products of FT, FT[0], FT[1] and levels."""
    ft_G = groups["FT"].to_numpy().astype(np.float64)
    parts = {"Intercept": np.ones(ft_G.size), "FT": ft_G, "FT[0]": 1 - ft_G, "FT[1]": ft_G}
    for part in {p for name in names for p in name.split(":")} - set(parts):
        factor, level = _factor_level(part)
        parts[part] = (groups[factor] == level).to_numpy().astype(np.float64)
    return np.stack([np.prod([parts[p] for p in name.split(":")], axis=0) for name in names], axis=1)


def _factor_level(label: str) -> tuple[str, str]:
    factor, level = label.removesuffix("]").split("[")
    return factor, level
