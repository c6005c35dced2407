"""Where labelled files come from: cards, layouts, splits."""
