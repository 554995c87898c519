"""Frozen networks that put images and captions into one space, for methods to train against and for evaluation."""
