"""Catalogues that grow: new items in a model that is not trained again."""

from chordkit.catalogue.content import read_content
from chordkit.catalogue.growth import Growth, grow, with_items

__all__ = ["Growth", "grow", "read_content", "with_items"]
