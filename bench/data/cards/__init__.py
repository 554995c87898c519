"""One module per dataset, each ending with `CARD = …`: an `InteractionCard` or a `ContentCard`."""
