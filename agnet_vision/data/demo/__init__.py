"""The painted demo set."""
