"""Warmth meters, their calibration on gold replies, and the manipulation gate."""
