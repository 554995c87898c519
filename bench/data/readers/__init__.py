"""Readers of published layouts, one module per dataset or family of datasets."""
