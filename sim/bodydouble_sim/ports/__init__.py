"""The product's ports over a simulated machine."""
