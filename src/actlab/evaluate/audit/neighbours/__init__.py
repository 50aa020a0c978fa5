"""Near duplicates of images, series and tables, from their nearest neighbours."""
