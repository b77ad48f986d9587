"""Rooms' buffers in Redis: `buffer.RoomBuffer` takes them, and finds the rooms that have one."""
