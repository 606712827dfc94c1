"""Series in time: tables, calendar, scaling, and windows of the past and the future."""
