"""Lessons / For teachers: links that open the app in a given state, what each shows, and how long it takes."""

from ui import page
from ui.lessons import listed

page.header("For teachers", "What can I show in class, and how do I open it?", about=())
listed.for_teachers()
