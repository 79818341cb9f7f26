"""Words / Fix: would another way of reading help? The same question under several fixes, and what one is worth."""

import streamlit as st

from ui import asking, fix_over_pictures, fix_side_by_side, fix_view, notes, page

page.header("Fix", "Would another way of reading help?", about=("picture",))
question = asking.bar()
plain = asking.answered(question)
names, maps = fix_view.pick()
fixes, costs = fix_side_by_side.show(question, plain, names, maps)
st.subheader("Over many pictures", anchor=False)
fix_over_pictures.show(question, plain, fixes, costs)
notes.how_to_read(*names, "word_map")
