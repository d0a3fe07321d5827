"""Experiments with very many nodes: the cores of ring and discovery in virtual time.

`shoal sim run FILE.toml` reads an experiment (`experiment`), builds a `world` of nodes whose
cores are the daemon's own, feeds it a workload and writes what it counted (`results`).
"""
