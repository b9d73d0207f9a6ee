"""Hydra finds plugins here. Everything that is not a plugin stands in warmgap_launchers, since Hydra
imports each module of this package at every start."""
