"""Is this node well? Facts are collected at the edge, judged by pure functions: facts in,
findings out."""
