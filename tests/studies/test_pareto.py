"""The table of a search's trials."""

from __future__ import annotations

from agnet_vision.studies.pareto import Candidate, as_markdown

TRIALS = [
    Candidate(0, "over budget", {"lr": 0.00123, "size": 96}, None, 30.0),
    Candidate(1, "front", {"lr": 0.01, "size": 64}, 0.75, 9.0, (0.5, 0.75)),
    Candidate(2, "stopped", {"lr": 0.01, "size": 64}, 0.2, 8.0, (0.2,)),
    Candidate(3, "impossible", {"lr": 0.01, "size": 8}, None, None),
    Candidate(4, "front", {"lr": 0.01, "size": 32}, 0.5, 4.0, (0.4, 0.5)),
    Candidate(5, "finished", {"lr": 0.02, "size": 32}, 0.4, 4.0, (0.4, 0.3)),
]


def test_value_table() -> None:
    assert as_markdown(TRIALS, "mAP").splitlines() == [
        "| trial | mAP % | ms | epochs | lr | size | outcome |",
        "| ---: | ---: | ---: | ---: | --- | --- | --- |",
        "| 4 | 50.00 | 4.00 | 2 | 0.01 | 32 | front |",
        "| 1 | 75.00 | 9.00 | 2 | 0.01 | 64 | front |",
        "| 5 | 40.00 | 4.00 | 2 | 0.02 | 32 | finished |",
        "| 2 | 20.00 | 8.00 | 1 | 0.01 | 64 | stopped |",
        "| 0 |  | 30.00 | 0 | 0.0012 | 96 | over budget |",
        "| 3 |  |  | 0 | 0.01 | 8 | impossible |",
    ]
