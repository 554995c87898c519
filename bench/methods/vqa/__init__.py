"""Methods that answer questions about images and videos, one file each."""
