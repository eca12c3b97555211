"""Listening tests: a study of people on chosen recordings, its server and pages, and what the answers say."""
