"""What Shoal's promises in numbers are measured with: `python -m bench`; see docs/bench.md."""
