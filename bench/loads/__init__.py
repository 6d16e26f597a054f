"""What users do, and what is measured meanwhile: one file for each kind of load."""
