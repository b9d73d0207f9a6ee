"""What fine-tuning and answering behind an OpenAI-compatible service share: keys, errors, waiting, tokens."""

import logging

# The client's library says each request, address and all, thousands of them.
for name in ("httpx", "httpx2"):
    logging.getLogger(name).setLevel(logging.WARNING)
