"""Who decides what an answer asserts, and the labels and outcomes that follow by rule."""
