"""The master: a REST API that runs servers and clients as processes of their own (spec: master.md)."""
