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
    "Trust": [("trust/benchmark", "Trust", "balance")],
    "About": [("about/methods", "Methods", "menu_book"), ("about/models", "Models", "deployed_code")],
}
