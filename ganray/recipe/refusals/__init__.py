"""Rules that refuse what cannot be meant together; the table of them is `ganray.recipe.combinations.REFUSALS`.

A rule takes a recipe and yields a fault for each thing that it refuses. Its docstring says what, and why.
"""
