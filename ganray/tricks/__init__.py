"""The tricks of the trade, one file each."""
