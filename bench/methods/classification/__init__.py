"""Image classification methods, one file each."""
