"""A model's card and the result of its check, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from model_adapters import Card, Report


def show_card(card: Card) -> None:
    """What the model is, as far as somebody wrote it down."""
    rows = {
        "Library": card.library,
        "Class": card.architecture,
        "Parameters": f"{card.parameters:,}",
        "Weights": card.weights,
        "Input": card.input,
        "Licence": card.licence,
        "Papers": ", ".join(card.papers),
        "Source": card.source,
    }
    with st.container(border=True):
        st.subheader(card.title, anchor=False)
        if card.weights.startswith("random"):
            st.caption("Random weights: it has learnt nothing. It shows that everything works, and nothing about vision.")
        st.markdown("\n".join(f"- **{name}**: {value}" for name, value in rows.items() if value))
        for note in card.notes:
            st.caption(note)


def show_report(report: Report) -> None:
    """The self-check: does looking change nothing, and does changing attention change something?"""
    with st.container(border=True):
        st.subheader("Self-check", anchor=False)
        st.markdown(f":material/check_circle: {report.sentence}" if report.passed else report.sentence)
        told = "same bits" if report.unchanged else "rounded"
        numbers = (
            ("Attention sites", str(report.sites), "Attention computations in one pass."),
            ("Answer when looked at", told, None),
            ("Rows miss 1 by", f"{report.row_sums:.0e}", "Largest over all rows of weights."),
            ("Uniform attention", f"{report.uniform:.1%}".replace("%", " %"), "Change of the answer by it."),
        )
        for pair in (numbers[:2], numbers[2:]):
            for column, (label, value, help) in zip(st.columns(2, gap="small"), pair, strict=True):
                column.metric(label, value, border=True, help=help)
        st.caption(f"Checked in {report.seconds:.1f} s.")
        for line in (*report.notes, *report.unseen):
            st.caption(line)
