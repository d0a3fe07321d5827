"""What users ask for and what exists: plain frozen structs, no behaviour beyond their own rules."""
