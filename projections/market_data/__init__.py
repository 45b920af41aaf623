"""Every book of a shard, order by order, in memory: what the WebSocket channels and the multicast
feed are made from. docs/stream.md and docs/multicast.md tell what is sent of it."""
