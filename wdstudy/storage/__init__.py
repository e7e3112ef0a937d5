"""Where studies are kept: from a URL to an Optuna storage that waits for what is away."""
