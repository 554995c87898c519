"""Methods that predict the next item, one file each."""
