"""One file per discriminator architecture."""
