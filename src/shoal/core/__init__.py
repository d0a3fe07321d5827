"""The decisions of a node, as deterministic state machines without IO, clock or randomness."""
