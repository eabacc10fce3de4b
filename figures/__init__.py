"""
What the pages say of runs: tables that are written from results files, and never by hand.

`make bench` leaves docs/figures/bench.json, `make chaos` docs/figures/chaos.json; both then have `python -m figures`
write the tables between the marks of the pages anew. A test holds pages and files together.
"""
