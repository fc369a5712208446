"""One trial wired together: data, training, evaluation and the store. Knows nothing of Ray."""
