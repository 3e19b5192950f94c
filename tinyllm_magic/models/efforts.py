"""How much a model that reasons may be told to think (``EFFORTS``)."""

EFFORTS = ("low", "medium", "high")
