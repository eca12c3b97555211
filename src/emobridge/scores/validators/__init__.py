"""Validators judge a recogniser without target labels, one file each."""
