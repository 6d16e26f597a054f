"""On the path of product processes while `pytest --debug-loops` runs; see `sitecustomize`."""
