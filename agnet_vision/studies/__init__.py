"""Many runs: compared over seeds, or searched under a budget."""
