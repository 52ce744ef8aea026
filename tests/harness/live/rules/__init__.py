"""The rules of the live tier, one module for each subject."""
