"""A study that designs itself: which batch of trials tells most of what is still open."""
