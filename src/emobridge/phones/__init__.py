"""Phones: alignments of speech with the sounds it is made of."""
