"""Sockets: names, dialling, listening, certificates, tasks."""
