"""The pages and their order: section -> (path below pages/, title, icon)."""

SECTIONS = {
    "Look": [("look/attention", "Attention", "visibility"), ("look/embedding", "Embedding", "scatter_plot")],
    "Heads": [
        ("heads/importance", "Importance", "trending_down"),
        ("heads/strength", "Strength", "radar"),
        ("heads/patterns", "Patterns", "grid_view"),
        ("heads/passport", "Passport", "badge"),
    ],
    "Tokens": [("tokens/sinks", "Sinks", "water_drop")],
    "Change": [("change/prune", "Prune", "content_cut")],
    "Words": [
        ("words/ask", "Ask", "forum"),
        ("words/flow", "Flow", "waterfall_chart"),
        ("words/truth", "Truth", "fact_check"),
        ("words/fix", "Fix", "healing"),
        ("words/fewer", "Fewer tokens", "compress"),
        ("words/whatif", "What if", "brush"),
    ],
    "Compare": [("compare/compare", "Compare", "compare")],
    "Studies": [("studies/studies", "Studies", "dataset")],
    "Keep": [("keep/sessions", "Sessions", "folder_zip"), ("keep/report", "Report", "description")],
    "Lessons": [("lessons/tours", "Tours", "school"), ("lessons/teacher", "For teachers", "co_present")],
    "Trust": [("trust/benchmark", "Trust", "balance")],
    "About": [("about/methods", "Methods", "menu_book"), ("about/models", "Models", "deployed_code")],
}


def address(path: str) -> str:
    """What stands in the link for a page."""
    return path.replace("/", "-")
