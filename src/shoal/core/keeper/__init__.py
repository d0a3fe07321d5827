"""A vcluster's records, their copies, and the keeper that works on them."""
