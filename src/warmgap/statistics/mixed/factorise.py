"""The penalised normal matrix of the random effects, factorised block by block.

M = Z'WZ + P. The large factor's part is block diagonal (one small block per level) and is
eliminated; what remains is the Schur complement of the small factors, dense. Suffixes: Q levels
of the large factor, B its columns, R effects of the small factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from warmgap.statistics.clusters import FloatArray


@dataclass(frozen=True)
class Factorised:
    """M by its parts: D (large), C (large by small), S = A - C' D^-1 C (Schur complement).

    `inverse_QBB` is D^-1, `u_QBR` is D^-1 C, `root_RR` the upper Cholesky factor of S.
    """

    inverse_QBB: FloatArray
    u_QBR: FloatArray
    root_RR: FloatArray
    log_det: float

    def solve(self, large_QBx: FloatArray, small_Rx: FloatArray) -> tuple[FloatArray, FloatArray]:
        """M^-1 times a vector, or several with a further axis at the end."""
        first = np.einsum("qij,qj...->qi...", self.inverse_QBB, large_QBx)
        if not small_Rx.shape[0]:
            return first, small_Rx
        rest = small_Rx - np.tensordot(self.u_QBR, large_QBx, axes=([0, 1], [0, 1]))
        small = linalg.cho_solve((self.root_RR, False), rest, check_finite=False)
        return first - np.tensordot(self.u_QBR, small, axes=(2, 0)), small

    def small_inverse(self) -> FloatArray:
        """S^-1: the block of M^-1 of the small factors."""
        size = self.root_RR.shape[0]
        if not size:
            return self.root_RR
        out: FloatArray = linalg.cho_solve((self.root_RR, False), np.eye(size), check_finite=False)
        return out

    def small_root(self) -> FloatArray:
        """K, upper triangular, with S^-1 = K K'."""
        size = self.root_RR.shape[0]
        if not size:
            return self.root_RR
        out: FloatArray = linalg.solve_triangular(self.root_RR, np.eye(size), check_finite=False)
        return out


def factorise(d_QBB: FloatArray, c_QBR: FloatArray, a_RR: FloatArray) -> Factorised:
    """Factorise M from its parts, all of which include the prior precision.

    Raises:
        numpy.linalg.LinAlgError: M is not positive definite.
    """
    if d_QBB.shape[1] == 1:
        if not np.all(d_QBB > 0):
            raise np.linalg.LinAlgError("a diagonal block is not positive")
        inverse_QBB = 1.0 / d_QBB
        log_det = float(np.sum(np.log(d_QBB)))
    else:
        root_QBB = np.linalg.cholesky(d_QBB)
        inverse_QBB = np.linalg.inv(d_QBB).astype(np.float64, copy=False)
        log_det = 2 * float(np.sum(np.log(np.diagonal(root_QBB, axis1=1, axis2=2))))
    u_QBR = inverse_QBB @ c_QBR
    root_RR = a_RR
    if a_RR.shape[0]:
        flat = (-1, a_RR.shape[0])
        schur_RR = a_RR - c_QBR.reshape(flat).T @ u_QBR.reshape(flat)
        root_RR = np.asarray(linalg.cholesky(schur_RR, check_finite=False))
        log_det += 2 * float(np.sum(np.log(np.diag(root_RR))))
    return Factorised(inverse_QBB, u_QBR, root_RR, log_det)
