"""What of a store no sweep refers to: found, listed and removed by `python -m warmgap.gc`."""
