"""Robots by the libraries that speak to them."""
