"""The demonstration: a small repository, five patches through five doors, and what became of them."""
