"""Compare: two models, pictures, questions, layers, heads, methods, or a model with and without an edit; and the difference."""

from ui import compare_asked, compare_view, notes, page

page.header("Compare", "What is different?", about=("model", "picture", "class", "head"))
asked = compare_asked.wish()
compare_view.maps(asked)
used = compare_view.beside(asked)
named = [name for name in asked.methods if name != compare_asked.ROWS] or ["raw_attention"]
notes.how_to_read(*dict.fromkeys(["map_difference", *named, *used]))
