"""Logistic mixed models by maximum likelihood: `fit_glmm`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from warmgap.errors import UserError
from warmgap.statistics.clusters import FloatArray, t_quantile, two_sided_p
from warmgap.statistics.mixed.build import build_design
from warmgap.statistics.mixed.components import Component, components
from warmgap.statistics.mixed.findings import findings, refuse_runaway
from warmgap.statistics.mixed.formula import parse_formula
from warmgap.statistics.mixed.laplace import Effects
from warmgap.statistics.mixed.model import MixedModel, Tracker
from warmgap.statistics.mixed.optimise import Optimum, minimise
from warmgap.statistics.mixed.problems import Finding, MixedModelError
from warmgap.statistics.mixed.start import start


@dataclass(frozen=True, repr=False)
class GlmmFit:
    """A fitted logistic mixed model.

    Attributes:
        model: the model, to evaluate its likelihood elsewhere.
        psi_J: coefficients, then theta (`covariance.Block.free`).
        optimum: where the search ended, with gradient and Hessian.
        effects: the most likely random effects.
        log_likelihood: at the maximum, with binomial constants where there are counts.
        findings: variances at zero, correlations at their limit, flat directions.
    """

    model: MixedModel
    psi_J: FloatArray
    optimum: Optimum
    effects: Effects
    log_likelihood: float
    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        """Formula, coefficients with standard errors, standard deviations and findings in words."""
        design = self.model.design
        lines = [f"{design.formula.text}", f"{design.n_rows} rows, log-likelihood {self.log_likelihood:.2f}"]
        for name, value, error in zip(self.names, self.beta_K, self.std_error_K, strict=True):
            lines.append(f"  {name}: {value:.4f} (SE {error:.4f})")
        for part in self.components:
            sds = ", ".join(f"{c} {sd:.4f}" for c, sd in zip(part.columns, part.sd_B, strict=True))
            lines.append(f"  sd over {part.n_levels} levels of {part.group}: {sds}")
        return "\n".join([*lines, *(f"  {f.kind}: {f.message}" for f in self.findings)])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return self.model.design.names

    @property
    def beta_K(self) -> FloatArray:
        """Coefficients on the logit scale."""
        return self.psi_J[: self.model.n_fixed]

    @property
    def theta_H(self) -> FloatArray:
        """Free entries of the Cholesky factors of the covariance matrices."""
        return self.psi_J[self.model.n_fixed :]

    @cached_property
    def joint_cov(self) -> FloatArray:
        """Covariance of (beta, theta): the inverse of the exact Hessian; zero for what is at a bound."""
        return self.optimum.covariance()

    @property
    def cov_KK(self) -> FloatArray:
        """Covariance of the coefficients, with the uncertainty of the variances in it."""
        k = self.model.n_fixed
        return self.joint_cov[:k, :k]

    @property
    def std_error_K(self) -> FloatArray:
        """Standard errors of the coefficients."""
        out: FloatArray = np.sqrt(np.diag(self.cov_KK))
        return out

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """Standard deviations and correlations per grouping factor, with 95 % intervals."""
        return components(
            self.model.design, self.theta_H, self.joint_cov[self.model.n_fixed :, self.model.n_fixed :]
        )

    @property
    def gradient_norm(self) -> float:
        """Largest absolute derivative at the end of the search."""
        return self.optimum.gradient_norm

    @property
    def hessian_eigenvalues(self) -> FloatArray:
        """Eigenvalues of the Hessian of the free parameters, ascending; all positive at a maximum."""
        return self.optimum.eigenvalues_F

    def coefficients(self, confidence: float = 0.95) -> pl.DataFrame:
        """Term, estimate, std_error, statistic, p_value, conf_low, conf_high (normal, logit scale)."""
        z = t_quantile(confidence, None)
        statistic_K = self.beta_K / self.std_error_K
        return pl.DataFrame(
            {
                "term": self.names,
                "estimate": self.beta_K,
                "std_error": self.std_error_K,
                "statistic": statistic_K,
                "p_value": [two_sided_p(float(s), None) for s in statistic_K],
                "conf_low": self.beta_K - z * self.std_error_K,
                "conf_high": self.beta_K + z * self.std_error_K,
            }
        )

    def variance_components(self) -> pl.DataFrame:
        """One row per standard deviation or correlation: group, kind, columns, estimate, interval."""
        return pl.concat([c.frame() for c in self.components])


def fit_glmm(formula: str, data: pl.DataFrame, *, trials: str | None = None, quadrature: int = 1) -> GlmmFit:
    """Fit a binomial logistic mixed model by maximum likelihood.

    Args:
        formula: in lme4's grammar, for example
            `commits_error ~ warm * C(task) + (1 + warm | model) + (1 + warm | task:question_id)`.
        data: one row per answer, or per group of answers with counts.
        trials: column with the number of answers per row, where the response counts events.
        quadrature: 1 for the Laplace approximation; more nodes (adaptive Gauss-Hermite) only with
            a single random intercept or slope.

    Raises:
        MixedModelError: the model cannot be fitted; its `kind`, `terms` and message say why and
            what to do.
        UserError: the data are no polars DataFrame.
    """
    if not isinstance(data, pl.DataFrame):
        raise UserError(
            f"the data are a {type(data).__name__} and must be a polars DataFrame. Make one with "
            "pl.from_pandas(...), pl.DataFrame(...), or .collect() of a lazy frame."
        )
    design = build_design(parse_formula(formula), data, trials)
    single = not design.small and len(design.large.columns) == 1
    if quadrature != 1 and not (single and 2 <= quadrature <= 101):
        raise MixedModelError(
            "formula",
            (),
            f"quadrature={quadrature} needs a single random term with one column, as in `(1 | question)`, "
            "and 2 to 101 nodes. Use quadrature=1, the Laplace approximation.",
        )
    return fit_model(MixedModel(design, quadrature))


def fit_model(
    model: MixedModel, start_J: FloatArray | None = None, fixed_J: npt.NDArray[np.bool_] | None = None
) -> GlmmFit:
    """Maximise a model's likelihood, from given parameters and with some of them fixed.

    Raises:
        MixedModelError: separation, a variance without bound, or no convergence.
    """
    tracker = Tracker(model)
    first_J = start(model.design) if start_J is None else start_J
    fixed = np.zeros(first_J.size, dtype=np.bool_) if fixed_J is None else fixed_J
    try:
        optimum = minimise(model.design, tracker.derivatives, tracker.value, first_J, fixed)
    except (FloatingPointError, np.linalg.LinAlgError) as e:
        raise MixedModelError(
            "no convergence", (), f"the likelihood cannot be computed where the search begins: {e}."
        ) from None
    psi_J = optimum.point.psi_J
    if fixed_J is None:
        refuse_runaway(model.design, psi_J[model.n_fixed :])
    if not optimum.converged:
        raise MixedModelError(
            "no convergence",
            (),
            f"the likelihood's maximum was not reached in {optimum.steps} steps (largest derivative "
            f"{optimum.gradient_norm:.2g}). Leave out a random slope, or give more data per level.",
        )
    return GlmmFit(
        model=model,
        psi_J=psi_J,
        optimum=optimum,
        effects=tracker.effects_of_factors(),
        log_likelihood=-optimum.point.value + model.design.log_binomial,
        findings=findings(model.design, optimum),
    )
