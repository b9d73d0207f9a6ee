"""What runs a model: rows in, answers out, in any order."""
