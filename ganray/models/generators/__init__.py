"""One file per generator architecture."""
