"""Reports what a reader must know of a notebook's answers, from the notebook and its store alone: runs nothing and asks nothing."""
