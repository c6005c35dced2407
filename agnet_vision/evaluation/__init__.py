"""One run, judged: scores, statistics, report."""
