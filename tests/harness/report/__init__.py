"""How results are shown: terminal block, pytest cases, JUnit properties, the catalogue of rules."""
