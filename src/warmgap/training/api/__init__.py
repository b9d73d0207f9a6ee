"""Fine-tuning behind an OpenAI-compatible service: the same conversations, trained elsewhere."""
