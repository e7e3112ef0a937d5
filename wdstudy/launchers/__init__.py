"""How many runners work on a study, and where."""
