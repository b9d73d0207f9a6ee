"""Raw rows of a data set -> questions; one file per data set."""
