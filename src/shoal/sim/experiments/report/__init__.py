"""Reports: one HTML file that holds all its pictures and needs nothing from elsewhere."""
