"""Statistics: from observations to tables. `analysis.analyse` is the entry; nothing here needs torch."""
