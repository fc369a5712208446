"""Recipes and experiment files: typed, frozen, strict. Imports nothing of ours but the errors."""
