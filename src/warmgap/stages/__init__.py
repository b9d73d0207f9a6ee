"""The seven stages: each joins a job to the rooms that do the work."""
