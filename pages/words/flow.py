"""Words / Flow: when does the image enter the answer? Bands of attention, the exit curve, and what each layer would say."""

import streamlit as st

from ui import asking, flow_asked, flow_view, notes, page, truth_line

page.header("Flow", "When does the image enter the answer?", about=("picture",))
question = asking.bar()
answered = asking.answered(question)
number = asking.word(answered)
truth_line.plain(answered, number, key="flow-words")
if not answered.answer.words:
    st.info("The answer holds no word, so nothing flows into it. Another question works.", icon=":material/info:")
    st.stop()
if not answered.pictures:
    st.info("The model was given no picture, so none enters the answer. Options above gives it one.", icon=":material/info:")
    st.stop()
asked = flow_asked.Asked(question, answered, answered.answer.words[number], flow_asked.reading(question, answered))

left, right = st.columns([2, 1], gap="medium")
with left:
    reader = flow_asked.who()
said = flow_asked.spoken(asked)
layer = None if said is None else flow_asked.depth(said)
with left:
    try:
        bands = flow_asked.bands(asked, reader)
    except ValueError as error:
        st.info(str(error), icon=":material/info:")
    else:
        flow_view.show_bands(asked, bands, layer)
        with right, st.container(border=True):
            flow_view.explain(asked, bands, layer)

with st.container(border=True):
    st.subheader("From which layer on is the image no longer needed?", anchor=False)
    curve = flow_asked.exits(asked)
    if curve is not None:
        flow_view.show_exit(asked, curve)

if said is not None and layer is not None:
    st.subheader("What would each layer say?", anchor=False)
    flow_view.show_lens(asked, said, layer)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.subheader(f"What do the patches say at {flow_view.depth_name(said, layer)}?", anchor=False)
        flow_view.show_patches(asked, said, layer)
    with right:
        st.subheader("When are words decided?", anchor=False)
        flow_view.show_settled(said)
notes.how_to_read("group_flow", "exit_curve", "answer_lens", "patch_words")
