"""A reader a kind of file: from bytes to a table of texts, or to sequences. None knows which column is what."""
