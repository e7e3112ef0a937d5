"""Training lanes: data, model, optimizer and loop. Nothing here knows of Optuna."""
