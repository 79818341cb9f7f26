"""The trust benchmark: methods scored where the truth is known.

A method takes part by being registered (`world.trust.registry.scored`); importing this package's `entries` registers
those that come with the world.
"""
