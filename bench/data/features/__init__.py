"""Featurisers: from pixels and captions to vectors of clips, and HCRN's HDF5 layout they are kept in."""
