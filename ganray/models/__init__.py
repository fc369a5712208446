"""Generators, discriminators and the embedded feature network. Build them with `ganray.models.registry`."""
