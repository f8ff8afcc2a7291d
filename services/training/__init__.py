"""Courses, learning credit, redeem codes, attendance and certificates. See README.md."""
