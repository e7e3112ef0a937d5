"""A study's page in optuna-dashboard while it runs, and the dashboard itself."""
