__import__("tinyllm_magic_site.startup").startup.start(get_ipython())  # noqa: F821  # of the shell that runs this file
