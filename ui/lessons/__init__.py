"""Guided tours: a text, a task, and a check of what the learner has chosen."""
