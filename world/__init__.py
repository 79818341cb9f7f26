"""A small world of drawn scenes whose truth is known, and the models that were trained on it."""
