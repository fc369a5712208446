"""Scores of generated images under named protocols: extractors, Frechet and kernel distances, cached statistics."""
