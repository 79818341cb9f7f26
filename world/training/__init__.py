"""How the bundled models are trained: one module and one command per model."""
