"""From a Hydra command line to a plan, and from a plan to finished jobs."""
