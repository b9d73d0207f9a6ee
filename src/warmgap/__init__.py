"""warmgap: what a persona costs a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmgap.reading import load as load

__all__ = ["load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # polars is imported only by those who read tables.
    if name == "load":
        from warmgap.reading import load

        return load
    raise AttributeError(f"module 'warmgap' has no attribute '{name}'")
