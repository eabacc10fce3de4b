"""
What operators see from outside, from one table: `make monitoring` writes it into the docs, Prometheus and Grafana.

    metrics.yaml  the table                            recording.py  /metrics over time, as Prometheus would have it
    table.py      the table, read                      promtool.py   rules and queries tried on a recording
    documents.py  what is made of it; pure             record.py     faults played, to be recorded
"""
