"""The REST API of a master (spec: master.md): HTTP to calls of `Instances`, and back."""
