"""One vendor or engine as ``send(request) -> chunks``."""
