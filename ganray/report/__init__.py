"""Tables, comparisons and pictures, all read from the store."""
