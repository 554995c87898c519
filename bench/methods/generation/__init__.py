"""Methods that make images, one file each."""
