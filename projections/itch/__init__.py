"""Nasdaq TotalView-ITCH 5.0 in MoldUDP64 1.00 packets, made of event batches alone."""
