"""One file per figure; each has a drawing function and a caption function."""
