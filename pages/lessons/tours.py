"""Lessons / Tours: five guided tours through the app, each with tasks that are checked."""

from ui import page
from ui.lessons import listed

page.header("Tours", "What could I learn here in a quarter of an hour?", about=())
listed.tours()
