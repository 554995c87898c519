"""One module per dataset, each ending with `CARD = DatasetCard(...)`."""
