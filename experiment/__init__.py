"""Around one training run: its configuration, its parts, its folder."""
