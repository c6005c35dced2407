"""What a run may be told: the schema that checks it, once."""
