"""Using a recogniser: predictions for files, folders and manifests, and scores where the truth is known."""
