"""Sweeps that other programs ran, made into studies."""
