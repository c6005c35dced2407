"""Where labeled files come from: cards, layouts, splits."""
