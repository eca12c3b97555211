"""Records of runs and audits as HTML, Markdown, JSON and a model card."""
