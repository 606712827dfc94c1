"""A project that depends on LightFit: names for it, the template in its versions, and what is written."""
