"""Images in: a folder, a zip or a sample set becomes one uint8 tensor with a fingerprint."""
