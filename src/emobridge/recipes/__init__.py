"""Published experiments: one TOML file each, beside the numbers that the papers print."""
