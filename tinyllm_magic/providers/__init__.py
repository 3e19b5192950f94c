"""One file per vendor: requests in, chunks out.

Knows nothing by itself; each file in this cupboard knows one vendor.
Does not know stores, retries, sessions or the notebook.
"""
