"""What the networks minimise: pure functions, tensors in, scalar out; they never step an optimizer."""
