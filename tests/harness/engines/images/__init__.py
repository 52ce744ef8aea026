"""Images: references by their grammar, tags that move, and which objects name which image."""

from harness.engines.images.inventory import Use, by_image, inventory, uses_of
from harness.engines.images.reference import Image, InvalidReferenceError, parse, try_parse
from harness.engines.images.tags import moving

__all__ = ["Image", "InvalidReferenceError", "Use", "by_image", "inventory", "moving", "parse", "try_parse", "uses_of"]
