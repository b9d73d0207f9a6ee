"""Figures, tables and the page: pure functions of a sweep's stored tables."""
