"""The results store: append-only parquet that any number of writers fill and any engine reads."""
