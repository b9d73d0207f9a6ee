"""Replies of a corpus rewritten in a tone, and whether they may be trained on."""
