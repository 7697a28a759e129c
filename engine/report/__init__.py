"""A run's report from its folder alone: what was found, how sure that is, what it cost, how to repeat it.

`write_report` reads the archive into a `Story`, each section turns it into blocks, and two renderers make one HTML file
and one Markdown file of the same blocks. Nothing here computes an interval: they are read from the documents.
"""
