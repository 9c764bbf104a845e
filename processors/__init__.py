"""Attributes to cost, hops and ownership: pure functions, and the one span processor that asks them."""
