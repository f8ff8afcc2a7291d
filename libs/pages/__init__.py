"""The one look of all pages: base template, stylesheet, translations, formats, bars. Complete without scripts.

A service makes one `Look` of its own folder of templates and renders with it; see README.md.
"""
