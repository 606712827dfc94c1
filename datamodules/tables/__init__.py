"""Reading tables row by row."""
