"""Fine-tuning behind an OpenAI-compatible service: the same conversations, trained elsewhere."""

import logging

# The client's library says each request, thousands while a job is waited for.
logging.getLogger("httpx2").setLevel(logging.WARNING)
