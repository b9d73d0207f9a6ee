"""A paper from a finished sweep: figures, tables, methods, checklist, and a PDF."""
