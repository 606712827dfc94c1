"""How the values of image files become pixels: formats, channels, intensity."""
