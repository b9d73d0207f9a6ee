"""Conversations to train on and prompts to measure warmth on."""
