"""The factorial design as typed values: questions, framings, beliefs, cells, prompts."""
