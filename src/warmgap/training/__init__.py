"""Fine-tuning of LoRA adapters on one tone of the corpus."""

import logging

# PEFT imports bitsandbytes wherever it is installed, which then advises about kernels nobody asked for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
