"""Programs that use an exported model without LightFit."""
