"""A run: workers, who hands out to them, who watches, and several runs in one folder."""
