"""What the bundled models can do, measured on scenes they have not seen."""
