"""Certificates, who issues them, and the listeners that show them."""
