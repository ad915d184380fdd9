"""A gallery to look at without installing anything: pages that load nothing from elsewhere, in docs/gallery/."""
