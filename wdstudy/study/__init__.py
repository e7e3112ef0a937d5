"""Describing a study: what is trained, over which space, by which optimizer."""
