"""Words / Truth: which words should I doubt? Signals of every word beside words whose truth is known, and a triage of many."""

import streamlit as st

from ui import asking, notes, page, truth_asked, truth_line, truth_triage, truth_view

page.header("Truth", "Which words should I doubt?", about=("picture",))
question = asking.bar()
answered = asking.answered(question)
truth_triage.arrived()
name, weights = asking.language_model()
if not answered.answer.words:
    st.info("The answer holds no word, so there is nothing to doubt. Another question works.", icon=":material/info:")
    st.stop()
if not answered.pictures:
    told = "Signals of made-up words compare what is said with a picture. Options above gives the model one."
    st.info(told, icon=":material/info:")
    st.stop()
number = asking.word(answered)
place = st.container()
found = truth_asked.signals(question, answered)
judged = truth_asked.judge(found, name, weights)
known, verdicts = truth_asked.verdicts(answered)
truth_asked.note(answered, found, judged, verdicts)
with place:
    truth_line.doubted(answered, found, judged, known, verdicts, number)

left, right = st.columns([2, 1], gap="medium")
with left:
    truth_view.show_signals(question, found, number, judged)
with right, st.container(border=True):
    truth_view.show_word(found, number, judged, verdicts, known)

with st.expander("The combined score", icon=":material/functions:"):
    truth_view.show_score(found, number, judged)
st.subheader("Which words of many answers?", anchor=False)
truth_triage.show(question, answered.model, found, judged)
notes.how_to_read("outvoted", "unlikely_word", "low_image_attention", "unmoved_without_image", "combined_score")
