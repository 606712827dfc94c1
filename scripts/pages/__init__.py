"""The design that all pages share: one style sheet, one script that sorts and filters tables."""
