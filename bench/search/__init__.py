"""Hyperparameter search: domains to Optuna, and studies that continue where they stopped."""
