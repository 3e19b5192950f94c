"""The command line ``tinyllm-magic``."""
