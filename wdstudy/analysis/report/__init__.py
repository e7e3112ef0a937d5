"""A study's report: one page, its figures and tables."""
