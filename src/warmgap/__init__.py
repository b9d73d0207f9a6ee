"""warmgap: what a persona costs a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmgap.comparing import compare as compare
    from warmgap.reading import load as load

__all__ = ["compare", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # polars is imported only by those who read tables.
    if name == "load":
        from warmgap.reading import load

        return load
    if name == "compare":
        from warmgap.comparing import compare

        return compare
    raise AttributeError(f"module 'warmgap' has no attribute '{name}'")
