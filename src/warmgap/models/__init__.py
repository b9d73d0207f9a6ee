"""Base weights, chat templates and adapters."""
