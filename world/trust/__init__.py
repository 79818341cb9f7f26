"""The trust benchmark: methods scored where the truth is known.

A method takes part by being registered (`world.trust.registry`); importing this package's `entries` registers those that
come with the world. `scores` reads what the last run found, and needs no model.
"""

from world.trust.table import Score, baselines, scores, table

__all__ = ["Score", "baselines", "scores", "table"]
