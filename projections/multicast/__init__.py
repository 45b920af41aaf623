"""The multicast feed: packets on disk, on two lines, and the ways to recover what was missed.
docs/multicast.md is the text.
"""
