"""ghost turns every patch of an agent into one validated Git commit that can be taken back."""

__version__ = "0.1.0"
