"""Contract tests, shipped so that a third party's plugin can run them."""
