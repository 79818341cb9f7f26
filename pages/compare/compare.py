"""Compare: two models, pictures, questions, layers, heads, methods, or a model with and without an edit; and the difference."""

from ui import compare_asked, compare_beside, compare_view, notes, page

page.header("Compare", "What is different?", about=("model", "picture", "class", "head"))
asked = compare_asked.wish()
compare_view.maps(asked)
used = compare_beside.beside(asked)
instead = {compare_asked.ROWS: "raw_attention", compare_asked.WORD: "word_map"}
named = [instead.get(name, name) for name in asked.methods]
notes.how_to_read(*dict.fromkeys(["map_difference", *named, *used]))
