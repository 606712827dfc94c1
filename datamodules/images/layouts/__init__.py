"""Where the images of a source are: folders, archives, tables, Parquet, COCO; nothing is decoded here."""
